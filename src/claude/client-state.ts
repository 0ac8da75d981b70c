import path from 'node:path';
import { parse } from 'jsonc-parser';
import { type QuietFile, readQuietly } from './read-quietly.ts';

/** `.claude.json` grows with every project; it has been seen at tens of megabytes. */
const MAX_STATE_BYTES = 64 * 1024 * 1024;

/** What the client remembers by itself and this program needs. */
export interface ClientState {
  readonly approved: readonly string[];
  readonly rejected: readonly string[];
  readonly trusted: boolean | undefined;
  /** A Console login keeps its key here. */
  readonly holdsKey: boolean;
  readonly found: QuietFile;
}

export function readClientState(file: string, projectDir: string): ClientState {
  const { bytes, ...found } = readQuietly(file, MAX_STATE_BYTES);
  const state = asObject(parseLoosely(bytes.toString('utf8')));
  const answers = asObject(state['customApiKeyResponses']);
  return {
    approved: texts(answers['approved']),
    rejected: texts(answers['rejected']),
    trusted: found.state === 'read' ? trustOf(asObject(state['projects']), projectDir) : undefined,
    holdsKey: typeof state['primaryApiKey'] === 'string' && state['primaryApiKey'] !== '',
    found: { ...found, bytes: Buffer.alloc(0) },
  };
}

/** Trust in a folder covers what lies in it. */
function trustOf(projects: Record<string, unknown>, projectDir: string): boolean {
  for (let folder = projectDir; ; folder = path.dirname(folder)) {
    if (Object.hasOwn(projects, folder) && asObject(projects[folder])['hasTrustDialogAccepted'] === true) return true;
    if (folder === path.dirname(folder)) return false;
  }
}

/** Deep nesting makes the parser throw; such a file says nothing. */
function parseLoosely(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}
