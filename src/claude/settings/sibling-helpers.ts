import path from 'node:path';
import { readRegularFile } from '../../platform/files.ts';
import { MAX_STATE_BYTES } from './client-state.ts';
import { parseTolerantly, valueAt } from './document.ts';
import type { ChainInput } from './effective.ts';
import { located, type SiblingSetting } from './files.ts';

/** What the client takes from what such a setting runs. */
const SETTINGS: readonly (Pick<SiblingLine, 'target' | 'format'> & { readonly setting: SiblingSetting })[] = [
  { setting: 'otelHeadersHelper', target: 'otel', format: 'headers' },
  { setting: 'awsCredentialExport', target: 'aws', format: 'aws' },
  { setting: 'proxyAuthHelper', target: 'proxy', format: 'proxy' },
];

/** One such line, as the client would take it. */
export interface SiblingLine {
  /** `otelHeadersHelper`, `headersHelper of MCP server "x"`. */
  readonly label: string;
  /** What `broker claude install --for` calls it. */
  readonly target: string;
  readonly format: 'headers' | 'aws' | 'proxy';
  readonly command: string;
  readonly settings: {
    readonly file: string;
    readonly scope: 'managed' | 'flag' | 'local' | 'project' | 'user';
    readonly mode: number;
    readonly uid: number;
  };
  readonly line: number;
}

/** Of each setting the strongest file counts; MCP servers are in the client's state and in the project's `.mcp.json`. */
export function siblingLines(input: ChainInput, stateFile: string, projectDir: string): SiblingLine[] {
  const files = input.settings.filter(({ state }) => state === 'in-effect');
  const set = SETTINGS.flatMap(({ setting, target, format }): SiblingLine[] => {
    const settings = files.find(({ siblings }) => siblings.has(setting));
    const found = settings?.siblings.get(setting);
    if (settings === undefined || found === undefined || found.value.trim() === '') return [];
    return [{ label: setting, target, format, command: found.value, settings, line: found.line }];
  });
  return [
    ...set,
    ...serversIn(stateFile, 'user', ['mcpServers']),
    ...serversIn(stateFile, 'local', ['projects', projectDir, 'mcpServers']),
    ...serversIn(path.join(projectDir, '.mcp.json'), 'project', ['mcpServers']),
  ];
}

function serversIn(file: string, scope: 'user' | 'local' | 'project', at: readonly string[]): SiblingLine[] {
  const found = readObject(file);
  const servers = found && valueAt(found.root, at);
  if (found === undefined || typeof servers !== 'object' || servers === null) return [];
  const { text, root, mode, uid } = found;
  return Object.keys(servers).flatMap((name): SiblingLine[] => {
    const set = located(text, root, [...at, name, 'headersHelper']);
    if (set === undefined || set.value.trim() === '') return [];
    const label = `headersHelper of the MCP server "${name}"`;
    const settings = { file, scope, mode, uid };
    return [{ label, target: `mcp:${name}`, format: 'headers', command: set.value, settings, line: set.line }];
  });
}

function readObject(file: string) {
  const found = readRegularFile(file, { maxBytes: MAX_STATE_BYTES });
  if (found.state !== 'read') return undefined;
  const text = found.bytes.toString('utf8');
  try {
    return { text, root: parseTolerantly(text), mode: found.stats.mode & 0o7777, uid: found.stats.uid };
  } catch {
    // Nested too deeply to be settings.
    return undefined;
  }
}
