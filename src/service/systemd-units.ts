import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { PACKAGE_ROOT } from '../platform/native.ts';

export interface UnitValues {
  /** Absolute program and arguments of the daemon. */
  readonly command: readonly string[];
  /** Undefined: `%h/.local/state/broker`, of whichever user. */
  readonly stateDir: string | undefined;
  /** Undefined: `%t/broker/broker.sock`, of whichever user. */
  readonly socket: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** The daemon can speak sd_notify(3), for which it needs the addon. */
  readonly canNotify: boolean;
  /** Sandboxing that needs user namespaces. */
  readonly namespaces: boolean;
}

export interface Units {
  readonly 'broker.service': string;
  readonly 'broker.socket': string;
}

/** The templates in systemd/ with what stands between @ and @ filled in. */
export function renderUnits(values: UnitValues): Units {
  const state = values.stateDir === undefined ? '%h/.local/state/broker' : specifiers(values.stateDir);
  const env = Object.entries(values.env).map(([name, value]) => environmentLine(name, specifiers(value)));
  const filled: Readonly<Record<string, string>> = {
    '@DOCS@': pathToFileURL(path.join(PACKAGE_ROOT, 'docs', 'service.md')).href.replaceAll('%', '%%'),
    '@TYPE@': values.canNotify ? 'notify' : 'exec',
    '@COMMAND@': [...values.command, '--journal']
      .map((word) => quoted(specifiers(word).replaceAll('$', '$$$$')))
      .join(' '),
    '@WATCHDOG@': values.canNotify
      ? 'WatchdogSec=60s'
      : '# No WatchdogSec=: without its addon the daemon cannot give signs of life.',
    '@ENVIRONMENT@': [environmentLine('BROKER_STATE_DIR', state), ...env].join('\n'),
    '@TMP@': needsSharedTmp(values) ? '# No PrivateTmp=yes: what it runs or keeps lies under /tmp.' : 'PrivateTmp=yes',
    '@WRITABLE@': quoted(`-${state}`),
    '@SOCKET@': values.socket === undefined ? '%t/broker/broker.sock' : specifiers(values.socket),
  };
  const render = (name: keyof Units) => fill(chosen(template(name), values.namespaces), filled);
  return { 'broker.service': render('broker.service'), 'broker.socket': render('broker.socket') };
}

/** In a /tmp of its own the service would not find what lies in the real one: a runtime unpacked there, a test's home. */
function needsSharedTmp({ command, stateDir, socket, env }: UnitValues): boolean {
  const paths = [...command, stateDir ?? '', socket ?? '', ...Object.values(env)];
  return paths.some((word) => /^\/(?:var\/)?tmp\//.test(word));
}

function template(name: string): string {
  return readFileSync(path.join(PACKAGE_ROOT, 'systemd', name), 'utf8');
}

const SECTION = /^#@ namespaces: (.*)\n([\s\S]*?)^#@ end\n/m;

function chosen(text: string, namespaces: boolean): string {
  return text.replace(SECTION, (_, needs: string, lines: string) =>
    namespaces ? lines : `# Left out is what ${needs}.\n`,
  );
}

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/@[A-Z]+@/g, (name) => values[name] ?? name);
}

function environmentLine(name: string, value: string): string {
  return `Environment=${quoted(`${name}=${value}`)}`;
}

/** systemd.unit(5), "Specifiers". */
function specifiers(text: string): string {
  return text.replaceAll('%', '%%');
}

/** systemd.syntax(7), "Quoting". */
function quoted(word: string): string {
  if (/^[\w./:=@%+,$~-]+$/.test(word)) return word;
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
