import path from 'node:path';
import { readRegularFile } from '../../platform/files.ts';
import { MAX_SETTINGS_BYTES, parseTolerantly, valueAt } from './document.ts';
import type { ChainInput } from './effective.ts';

/** The client's settings beside `apiKeyHelper` that run a program, and what they take from it. */
const SETTINGS = [
  { setting: 'otelHeadersHelper', target: 'otel', format: 'headers' },
  { setting: 'awsCredentialExport', target: 'aws', format: 'aws' },
  { setting: 'proxyAuthHelper', target: 'proxy', format: 'proxy' },
] as const;

/** `.claude.json` grows with every project. */
const MAX_STATE_BYTES = 64 * 1024 * 1024;

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
    for (const settings of files) {
      const found = readObject(settings.file, MAX_SETTINGS_BYTES);
      const command = found && valueAt(found.root, [setting]);
      if (found === undefined || typeof command !== 'string') continue;
      return command.trim() === ''
        ? []
        : [{ label: setting, target, format, command, settings, line: found.lineOf(command) }];
    }
    return [];
  });
  return [
    ...set,
    ...serversIn(stateFile, 'user', ['mcpServers']),
    ...serversIn(stateFile, 'local', ['projects', projectDir, 'mcpServers']),
    ...serversIn(path.join(projectDir, '.mcp.json'), 'project', ['mcpServers']),
  ];
}

function serversIn(file: string, scope: 'user' | 'local' | 'project', at: readonly string[]): SiblingLine[] {
  const found = readObject(file, MAX_STATE_BYTES);
  const servers = found && valueAt(found.root, at);
  if (found === undefined || typeof servers !== 'object' || servers === null) return [];
  return Object.entries(servers).flatMap(([name, server]): SiblingLine[] => {
    const command: unknown = server?.headersHelper;
    if (typeof command !== 'string' || command.trim() === '') return [];
    const label = `headersHelper of the MCP server "${name}"`;
    const { mode, uid, lineOf } = found;
    return [
      {
        label,
        target: `mcp:${name}`,
        format: 'headers',
        command,
        settings: { file, scope, mode, uid },
        line: lineOf(command),
      },
    ];
  });
}

function readObject(file: string, maxBytes: number) {
  const found = readRegularFile(file, { maxBytes });
  if (found.state !== 'read') return undefined;
  const text = found.bytes.toString('utf8');
  const lineOf = (command: string) =>
    text.slice(0, Math.max(0, text.indexOf(JSON.stringify(command)))).split('\n').length;
  try {
    return { root: parseTolerantly(text), lineOf, mode: found.stats.mode & 0o7777, uid: found.stats.uid };
  } catch {
    // Nested too deeply to be settings.
    return undefined;
  }
}
