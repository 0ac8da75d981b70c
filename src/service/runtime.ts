import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../errors.ts';
import { PACKAGE_ROOT } from '../platform/native.ts';

/** The absolute command that starts the daemon, as it goes into units, agents and the launch file. */
export interface DaemonCommand {
  readonly node: string;
  readonly program: string;
  readonly command: readonly string[];
  /** What makes the command vanish some day, in one sentence each. */
  readonly warnings: readonly string[];
}

export interface RuntimeOptions {
  /** `process.execPath`. */
  readonly execPath: string;
  readonly stateDir: string;
  /** Keep a copy of the runtime in the state folder and use that. */
  readonly copyRuntime: boolean;
  /** Change nothing. */
  readonly dryRun: boolean;
}

/** Where version managers keep each version in a folder that goes with it. */
const VERSIONED: readonly (readonly [pattern: RegExp, manager: string])[] = [
  [/\/\.nvm\/versions\//, 'nvm'],
  [/\/(?:\.asdf|asdf)\/installs\//, 'asdf'],
  [/\/\.volta\/tools\//, 'volta'],
  [/\/mise\/installs\//, 'mise'],
  [/\/(?:\.fnm|fnm)\/node-versions\/|\/fnm_multishells\//, 'fnm'],
  [/\/\.nodenv\/versions\//, 'nodenv'],
  [/\/\.n\/n\/versions\/|\/n\/versions\/node\//, 'n'],
  [/\/Cellar\//, 'Homebrew'],
  [/\/nix\/store\//, 'Nix'],
  [/\/_npx\//, 'npx'],
];

/** Which version manager will remove this path with an upgrade; undefined if none is known to. */
export function vanishesWith(file: string): string | undefined {
  return VERSIONED.find(([pattern]) => pattern.test(file))?.[1];
}

/** @throws BrokerError ERR_IO if the runtime cannot be copied. */
export function daemonCommand(options: RuntimeOptions): DaemonCommand {
  const program = path.join(PACKAGE_ROOT, 'bin', 'broker.mjs');
  const copy = runtimeCopy(options.stateDir);
  const useCopy = options.copyRuntime || existsSync(copy);
  if (useCopy && !options.dryRun) copyRuntime(options.execPath, copy);
  const node = useCopy ? copy : stableEquivalent(options.execPath);
  const warnings: string[] = [];
  const ofNode = useCopy ? undefined : vanishesWith(node);
  if (ofNode !== undefined) {
    warnings.push(
      `${node} belongs to one version that ${ofNode} will remove: install again after upgrades, or keep a copy with --copy-runtime`,
    );
  }
  const ofProgram = vanishesWith(program);
  if (ofProgram !== undefined) {
    warnings.push(
      `${program} lies with ${ofProgram} and goes with that version: install broker again after switching, then run broker service install`,
    );
  }
  return { node, program, command: [node, ...nodeOptions(), program, 'daemon'], warnings };
}

/** STATE/runtime/node. */
export function runtimeCopy(stateDir: string): string {
  return path.join(stateDir, 'runtime', 'node');
}

/** SIGUSR1 would open the inspector on a TCP port; the oldest Node that broker runs on does not know the option. */
function nodeOptions(): readonly string[] {
  return process.allowedNodeEnvironmentFlags.has('--disable-sigusr1') ? ['--disable-sigusr1'] : [];
}

/** Homebrew keeps a link beside its versions that always leads to the current one. */
function stableEquivalent(execPath: string): string {
  const [, prefix, formula] = /^(.*)\/Cellar\/([^/]+)\//.exec(execPath) ?? [];
  if (prefix === undefined || formula === undefined) return execPath;
  const link = path.join(prefix, 'opt', formula, 'bin', path.basename(execPath));
  try {
    return realpathSync(link) === realpathSync(execPath) ? link : execPath;
  } catch {
    return execPath;
  }
}

function copyRuntime(from: string, to: string): void {
  try {
    if (isSameRuntime(from, to)) return;
    mkdirSync(path.dirname(to), { recursive: true, mode: 0o700 });
    const fresh = `${to}.${process.pid}.new`;
    try {
      // A clone where the file system can: the runtime has 100 MB.
      copyFileSync(from, fresh, constants.COPYFILE_FICLONE);
      chmodSync(fresh, 0o700);
      renameSync(fresh, to);
    } finally {
      rmSync(fresh, { force: true });
    }
    accessSync(to, constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new BrokerError('ERR_IO', `cannot keep a copy of ${from} at ${to} (${code})`, {
      remedy: 'make room there, or install without --copy-runtime',
      cause: error,
    });
  }
}

/** Running from the copy, or a copy that is as large and no older. */
function isSameRuntime(from: string, to: string): boolean {
  const [source, target] = [statSync(from), statSync(to, { throwIfNoEntry: false })];
  if (target === undefined) return false;
  return source.ino === target.ino || (source.size === target.size && source.mtimeMs <= target.mtimeMs);
}
