import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { BrokerError, codeOf } from '../errors.ts';
import { nodeOptions } from '../platform/guard.ts';
import { PACKAGE_ROOT } from '../platform/native.ts';
import { firstLine } from '../platform/text.ts';

/** The absolute command that starts the daemon, as it goes into units, agents and the launch file. */
export interface DaemonCommand {
  readonly node: string;
  readonly program: string;
  readonly command: readonly string[];
  /** What makes the command vanish some day, in one sentence each. */
  readonly warnings: readonly string[];
}

interface RuntimeOptions {
  /** `process.execPath`. */
  readonly execPath: string;
  readonly stateDir: string;
  /** Keep a copy of the runtime in the state folder and use that. */
  readonly copyRuntime: boolean;
  /** Change nothing. */
  readonly dryRun: boolean;
  /** PATH: where a link to the runtime may lie that outlives its versions. Default: none is looked for. */
  readonly searched?: string | undefined;
}

/** Where version managers keep each version in a folder that goes with it. */
const VERSIONED: readonly (readonly [pattern: RegExp, manager: string])[] = [
  [/\/\.?nvm\/versions\//, 'nvm'],
  [/\/\.?asdf\/installs\//, 'asdf'],
  [/\/\.?volta\/tools\//, 'volta'],
  [/\/(?:mise|rtx)\/installs\//, 'mise'],
  [/\/\.?fnm\/node-versions\/|\/fnm_multishells\//, 'fnm'],
  [/\/\.?nodenv\/versions\//, 'nodenv'],
  [/\/n\/versions\/node\//, 'n'],
  [/\/\.?nvs\/node\//, 'nvs'],
  [/\/\.?proto\/tools\//, 'proto'],
  [/\/pnpm\/nodejs\//, 'pnpm'],
  [/\/Cellar\//, 'Homebrew'],
  [/^\/snap\/[^/]+\/x?\d+\//, 'snap'],
  [/^\/nix\/store\//, 'Nix'],
  [/^\/gnu\/store\//, 'Guix'],
  [/\/_npx\//, 'npx'],
  [/\/lib\/apikey-broker\/versions\//, 'install.sh'],
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
  const node = useCopy ? copy : stableEquivalent(options);
  const warnings: string[] = [];
  const ofNode = useCopy ? undefined : vanishesWith(node);
  if (ofNode !== undefined) {
    // A copy of theirs depends on libraries in the same store.
    const remedy =
      ofNode === 'Nix' || ofNode === 'Guix' ? 'put node into your profile' : 'keep a copy with --copy-runtime';
    warnings.push(
      `${node} belongs to one version that ${ofNode} will remove: install again after upgrades, or ${remedy}`,
    );
  }
  const ofProgram = vanishesWith(program);
  if (ofProgram !== undefined) {
    warnings.push(
      `${program} belongs to one version of ${ofProgram} and goes with it: install broker again after switching, then run broker service install`,
    );
  }
  return { node, program, command: [node, ...nodeOptions(), program, 'daemon'], warnings };
}

/** STATE/runtime/node. */
export function runtimeCopy(stateDir: string): string {
  return path.join(stateDir, 'runtime', 'node');
}

/** A path to the same runtime that will lead to the next version too: Homebrew's, snap's, ours, a profile's of Nix. */
function stableEquivalent({ execPath, searched = '' }: RuntimeOptions): string {
  if (vanishesWith(execPath) === undefined) return execPath;
  const name = path.basename(execPath);
  const onPath = searched.split(':').filter((folder) => path.isAbsolute(folder));
  const candidates = [
    execPath.replace(/^(.*)\/Cellar\/([^/]+)\/.*$/, `$1/opt/$2/bin/${name}`),
    execPath.replace(/^(\/snap\/[^/]+)\/x?\d+\//, '$1/current/'),
    path.join(PACKAGE_ROOT, 'bin', name),
    ...onPath.map((folder) => path.join(folder, name)),
  ];
  return candidates.find((link) => vanishesWith(link) === undefined && leadsTo(link, execPath)) ?? execPath;
}

function leadsTo(link: string, file: string): boolean {
  try {
    return realpathSync(link) === realpathSync(file);
  } catch {
    return false;
  }
}

function copyRuntime(from: string, to: string): void {
  try {
    if (isSameRuntime(from, to)) return;
    refuseIfItNeedsOthers(from);
    mkdirSync(path.dirname(to), { recursive: true, mode: 0o700 });
    const fresh = `${to}.${process.pid}.new`;
    try {
      // A clone where the file system can: the runtime has 100 MB.
      copyFileSync(from, fresh, constants.COPYFILE_FICLONE);
      chmodSync(fresh, 0o700);
      refuseUnlessItRuns(from, fresh);
      renameSync(fresh, to);
    } finally {
      rmSync(fresh, { force: true });
    }
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError('ERR_IO', `cannot keep a copy of ${from} at ${to} (${codeOf(error)})`, {
      remedy: 'make room there, or install without --copy-runtime',
      cause: error,
    });
  }
}

/** Names of libraries stand before the code: in a Mach-O file's load commands, in an ELF file's first segment. */
const HEAD_BYTES = 256 * 1024;
/** Where programs are put that a package manager removes with an upgrade. */
const STORE_LIBRARY =
  /\/(?:opt\/homebrew|usr\/local\/(?:opt|Cellar)|opt\/local|nix\/store|gnu\/store)\/[\x21-\x7e]+?\.(?:dylib|so)\b/;

/** A copy of a Node whose libraries belong to Homebrew or Nix runs today, and not after the next upgrade. */
function refuseIfItNeedsOthers(from: string): void {
  const head = Buffer.alloc(HEAD_BYTES);
  const file = openSync(from, 'r');
  try {
    readSync(file, head, 0, HEAD_BYTES, 0);
  } finally {
    closeSync(file);
  }
  const [library] = STORE_LIBRARY.exec(head.toString('latin1')) ?? [];
  if (library === undefined) return;
  throw new BrokerError('ERR_IO', `a copy of ${from} would end with the next upgrade of ${library}, which it needs`, {
    remedy: 'install without --copy-runtime, or with a Node from https://nodejs.org',
  });
}

/** One that brings libraries in folders beside it (conda) does not run anywhere else. */
function refuseUnlessItRuns(from: string, copy: string): void {
  const [original, moved] = [from, copy].map((file) => spawnSync(file, ['--version'], { encoding: 'utf8' }));
  if (moved?.status === 0 && moved.stdout === original?.stdout) return;
  const said = firstLine(moved?.stderr || moved?.error?.message || 'it says nothing');
  throw new BrokerError('ERR_IO', `a copy of ${from} does not run: ${said}`, {
    remedy: 'install without --copy-runtime, or with a Node from https://nodejs.org',
  });
}

/** Running from the copy, or a copy that is as large and no older. */
function isSameRuntime(from: string, to: string): boolean {
  const [source, target] = [statSync(from), statSync(to, { throwIfNoEntry: false })];
  if (target === undefined) return false;
  return source.ino === target.ino || (source.size === target.size && source.mtimeMs <= target.mtimeMs);
}
