import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Outcome, run } from '../native/run-helper.ts';

/** What the tests inside the `systemd --user` of enter.sh share: its home, its environment, and the means to ask it. */
export const ROOT = path.resolve(import.meta.dirname, '..', '..');
export const HOME = process.env['HOME'] ?? '';
export const STATE = path.join(HOME, '.local', 'state', 'broker');
export const UNITS = path.join(HOME, '.config', 'systemd', 'user');
export const CONFIG = path.join(HOME, '.config', 'broker', 'config.toml');
export const env = {
  HOME,
  XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] ?? '',
  PATH: '/usr/local/bin:/usr/bin:/bin',
};
export const SOCKET = path.join(env.XDG_RUNTIME_DIR, 'broker', 'broker.sock');

export const broker = (...args: string[]): Promise<Outcome> =>
  run(process.execPath, [path.join(ROOT, 'bin', 'broker.mjs'), ...args], env);

export const systemctl = (...args: string[]): string =>
  execFileSync('systemctl', ['--user', ...args], { env, encoding: 'utf8' });

export const property = (name: string, unit = 'broker.service'): string =>
  systemctl('show', '--value', `--property=${name}`, unit).trim();

export function dropIn(text: string): void {
  const folder = path.join(UNITS, 'broker.service.d');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'test.conf'), `[Service]\n${text}\n`);
  systemctl('daemon-reload');
}

/** What `systemctl enable` left in the folders of targets. */
export function enabledUnits(): string[] {
  if (!existsSync(UNITS)) return [];
  const targets = readdirSync(UNITS).filter((name) => name.endsWith('.wants'));
  return targets.flatMap((name) => readdirSync(path.join(UNITS, name)));
}

/** For the next test file: a home with nothing in it but the log of systemd itself. */
export function emptyHome(): void {
  for (const file of readdirSync(HOME)) if (file !== 'systemd.log') rmSync(path.join(HOME, file), { recursive: true });
}
