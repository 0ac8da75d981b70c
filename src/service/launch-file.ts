import { readFileSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../errors.ts';
import { writeFileAtomically } from '../platform/write-file.ts';

/**
 * STATE/launch: how the helper starts the daemon when nobody answers (native/start-daemon.c reads it). Text that C can
 * take apart safely: `broker-launch 1`, then one `KEY VALUE` a line. The helper takes it only if it and its folder are
 * the caller's own and closed to others.
 */
export interface LaunchRecord {
  /** Program, absolute, and arguments. At most 24. */
  readonly run: readonly string[];
  /** What the daemon gets besides what every daemon gets; at most 24. */
  readonly env: Readonly<Record<string, string>>;
  /** Set where a service is installed: what to run to have it started, program absolute. */
  readonly service: { readonly manager: 'systemd' | 'launchd'; readonly command: readonly string[] } | undefined;
  readonly autostart: boolean;
}

const FIRST_LINE = 'broker-launch 1';
const MOST_WORDS = 24;
const LARGEST_BYTES = 8191;

export function launchFile(stateDir: string): string {
  return path.join(stateDir, 'launch');
}

/** @returns false if the file said so already. @throws BrokerError ERR_CONFIG for paths that cannot be written down. */
export function writeLaunchRecord(stateDir: string, record: LaunchRecord): boolean {
  return writeFileAtomically(launchFile(stateDir), formatLaunchRecord(record), 0o600);
}

/** Undefined if there is none or it makes no sense. */
export function readLaunchRecord(stateDir: string): LaunchRecord | undefined {
  try {
    return parseLaunchRecord(readFileSync(launchFile(stateDir), 'utf8'));
  } catch {
    return undefined;
  }
}

export function formatLaunchRecord({ run, env, service, autostart }: LaunchRecord): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const words: readonly (readonly [key: string, values: readonly string[]])[] = [
    ['run', run],
    ['env', variables],
    ['manager', service === undefined ? [] : [service.manager]],
    ['service', service?.command ?? []],
    ['autostart', autostart ? [] : ['off']],
  ];
  const lines = words.flatMap(([key, values]) => values.map((value) => `${key} ${value}`));
  const text = [FIRST_LINE, ...lines].map((line) => `${line}\n`).join('');
  const unfit = lines.find((line) => /[\n\0]/.test(line));
  const tooMuch = words.some(([, values]) => values.length > MOST_WORDS) || Buffer.byteLength(text) > LARGEST_BYTES;
  if (unfit === undefined && !tooMuch) return text;
  throw new BrokerError('ERR_CONFIG', `the launch command cannot be recorded: ${unfit ?? 'it is too long'}`, {
    remedy: 'install broker under a shorter path without line breaks',
  });
}

export function parseLaunchRecord(text: string): LaunchRecord | undefined {
  const [first, ...lines] = text.split('\n');
  if (first !== FIRST_LINE || lines.pop() !== '') return undefined;
  const values = (key: string) =>
    lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.slice(key.length + 1));
  const manager = values('manager')[0];
  const known = manager === 'systemd' || manager === 'launchd';
  return {
    run: values('run'),
    env: Object.fromEntries(values('env').map((word) => splitOnce(word, '='))),
    service: known ? { manager, command: values('service') } : undefined,
    autostart: values('autostart')[0] !== 'off',
  };
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}
