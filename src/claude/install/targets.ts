import { realpathSync } from 'node:fs';
import path from 'node:path';
import { BrokerError, shellWord } from '../../errors.ts';
import { isExecutable, programsOnPath } from '../../platform/files.ts';
import { managedFolder } from '../../platform/known-clients.ts';
import { PACKAGE_ROOT } from '../../platform/native.ts';
import { type Addition, settingsObject } from '../settings/edit.ts';
import { clientFolder, clientStateFile, type SettingsRoots } from '../settings/locations.ts';
import { KEEPS_SHELL } from '../shell/helper-command.ts';
import { TTL_VARIABLE } from '../shell/variables.ts';
import { isScript } from './enrol.ts';

/** The client's settings that run a helper and that the broker can answer. */
type TargetKind = 'api-key' | 'otel' | 'mcp' | 'aws' | 'proxy' | 'wif';

export interface Target {
  readonly kind: TargetKind;
  /** `api-key`, `otel`, `mcp:NAME`, … */
  readonly name: string;
  /** The MCP server's name. */
  readonly server: string | undefined;
}

interface TargetOptions {
  /** Absolute path of `broker-key`. */
  readonly helper: string;
  /** undefined: whatever the configuration's default is. */
  readonly credential: string | undefined;
  /** How long the client is to keep an answer; undefined: its own default. */
  readonly ttlMs: number | undefined;
}

const TTL_OF: Partial<Record<TargetKind, string>> = {
  'api-key': TTL_VARIABLE,
  otel: 'CLAUDE_CODE_OTEL_HEADERS_HELPER_DEBOUNCE_MS',
  proxy: 'CLAUDE_CODE_PROXY_AUTH_HELPER_TTL_MS',
};

/**
 * @param text `otel`, `mcp:NAME`, `aws`, `proxy` or `wif`; undefined is `apiKeyHelper`.
 * @throws BrokerError ERR_USAGE
 */
export function parseTarget(text: string | undefined): Target {
  if (text === undefined || text === 'api-key') return { kind: 'api-key', name: 'api-key', server: undefined };
  const server = /^mcp:(.+)$/s.exec(text)?.[1];
  if (server !== undefined) return { kind: 'mcp', name: text, server };
  if (text === 'otel' || text === 'aws' || text === 'proxy' || text === 'wif')
    return { kind: text, name: text, server: undefined };
  throw new BrokerError('ERR_USAGE', `there is no target "${text}"`, {
    remedy: 'name one of: otel, mcp:NAME, aws, proxy, wif',
  });
}

/** The lines that make the client ask the broker. @throws BrokerError ERR_USAGE for a ttl that the setting has no room for. */
export function additionsFor(target: Target, options: TargetOptions): Addition[] {
  const variable = TTL_OF[target.kind];
  if (options.ttlMs !== undefined && variable === undefined) {
    throw new BrokerError('ERR_USAGE', `Claude Code keeps no interval for ${target.name}`, {
      remedy: 'leave out --ttl',
    });
  }
  const ttl: Addition[] =
    options.ttlMs === undefined || variable === undefined
      ? []
      : [{ path: ['env', variable], value: String(options.ttlMs) }];
  // A script's interpreter runs in its place, and then what the script replaces itself by: where /bin/sh replaces itself by
  // its last command, as bash does, nothing would show `allow` whose line it was.
  const end = isScript(options.helper) ? KEEPS_SHELL : '';
  const command = (format?: string) =>
    [
      options.helper,
      ...(format === undefined ? [] : ['--format', format]),
      ...(options.credential === undefined ? [] : [options.credential]),
    ]
      .map(shellWord)
      .join(' ') + end;
  switch (target.kind) {
    case 'api-key':
      return [{ path: ['apiKeyHelper'], value: command() }, ...ttl];
    case 'otel':
      return [{ path: ['otelHeadersHelper'], value: command('headers') }, ...ttl];
    case 'mcp':
      return [{ path: ['mcpServers', target.server ?? '', 'headersHelper'], value: command('headers') }];
    case 'aws':
      return [{ path: ['awsCredentialExport'], value: command('aws') }];
    case 'proxy':
      return [
        { path: ['proxyAuthHelper'], value: command('proxy') },
        { path: ['env', 'CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER'], value: '1' },
        ...ttl,
      ];
    case 'wif':
      throw new TypeError('workload identity runs no helper');
  }
}

/** The state folder in each user's home, unless they moved it. */
export const USUAL_STATE_DIR = '~/.local/state/broker';

/** Rules that keep the agent's own tools from the key; they bind the agent, not a program that it writes. */
export function denyRules(helper: string, stateDir: string): Addition {
  const state = stateDir.startsWith('~/') ? stateDir : stateDir.replace(/^\/*/, '//');
  return {
    path: ['permissions', 'deny'],
    items: [
      'Bash(broker-key:*)',
      ...(path.basename(helper) === helper ? [] : [`Bash(${helper}:*)`]),
      'Bash(broker get:*)',
      `Read(${state}/**)`,
    ],
  };
}

/** Which settings file a person names; their own for every project if they name none. */
export interface SettingsChoice {
  readonly scope?: 'user' | 'project-local' | 'file';
  /** For `claude --settings FILE`. */
  readonly settings?: string;
  /** Default: the current folder. */
  readonly project?: string;
}

export function rootsOf(
  { homeDir, env, platform }: Pick<SettingsRoots, 'homeDir' | 'env' | 'platform'>,
  { settings, project }: SettingsChoice,
): SettingsRoots {
  return {
    homeDir,
    projectDir: path.resolve(project ?? ''),
    env,
    platform,
    systemRoot: '/',
    flag: settings === undefined ? undefined : path.resolve(settings),
  };
}

/** The file that is meant, and the modes for what has to be made: a project's folder is shared, the rest is private. */
export function placeOf(
  host: Pick<SettingsRoots, 'homeDir' | 'env' | 'platform'>,
  choice: SettingsChoice,
  target: Target,
): { readonly file: string; readonly folderMode: number; readonly fileMode: number } {
  const { scope = 'user', settings } = choice;
  if (settings !== undefined) return { file: path.resolve(settings), folderMode: 0o700, fileMode: 0o600 };
  if (scope === 'file') {
    throw new BrokerError('ERR_USAGE', '--scope file needs a file', { remedy: 'add --settings FILE' });
  }
  const file = fileFor(target, scope, rootsOf(host, choice));
  return { file, folderMode: scope === 'user' ? 0o700 : 0o755, fileMode: 0o600 };
}

/** Where a target is written in a scope. MCP servers of the user are in the client's own state file. */
function fileFor(target: Target, scope: 'user' | 'project-local', roots: SettingsRoots): string {
  if (target.kind === 'mcp') {
    if (scope === 'user') return clientStateFile(roots);
    throw new BrokerError('ERR_USAGE', 'MCP servers of a project are in its .mcp.json', {
      remedy: 'type: broker claude install --for mcp:NAME --settings .mcp.json',
    });
  }
  return scope === 'user'
    ? path.join(clientFolder(roots), 'settings.json')
    : path.join(roots.projectDir, '.claude', 'settings.local.json');
}

/** What an administrator copies into managed settings. */
export function managedText(additions: readonly Addition[]): string {
  const snippet = JSON.stringify(settingsObject(additions), null, 2);
  return [
    `# Linux: ${path.join(managedFolder('linux'), 'managed-settings.json')}`,
    `# macOS: ${path.join(managedFolder('darwin'), 'managed-settings.json')}`,
    '# owner root, mode 0644; users cannot override it. Strict JSON: leave these three lines out.',
    snippet,
    '',
  ].join('\n');
}

/**
 * The path of `broker-key` to write into settings: the name on PATH if it leads to this installation's own binary (it
 * survives an upgrade), else that binary, else whatever PATH has. undefined: nowhere.
 */
export function locateHelper(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const own = [path.join(PACKAGE_ROOT, 'bin', 'broker-key')].find(isExecutable);
  const onPath = programsOnPath('broker-key', env['PATH']);
  return onPath.find((file) => own !== undefined && realpathSync(file) === realpathSync(own)) ?? own ?? onPath[0];
}

/** @throws BrokerError ERR_USAGE if nothing executable is there. */
export function requireHelper(file: string | undefined): string {
  if (file === undefined) {
    throw new BrokerError('ERR_USAGE', 'broker-key was not found beside this program or on PATH', {
      remedy: 'name it: --helper /absolute/path/to/broker-key',
    });
  }
  if (!isExecutable(file)) {
    throw new BrokerError('ERR_USAGE', `${file} is not an executable file`, {
      remedy: 'name the right path with --helper, or add --force if it is meant for another machine',
    });
  }
  return file;
}
