import { existsSync, lstatSync, readdirSync, readFileSync, type Stats, statfsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { findClient } from '../../claude/install/enrol.ts';
import { launchFile, socketCandidates, stateDir } from '../../config/paths.ts';
import { BrokerError, codeOf } from '../../errors.ts';
import { isOnNetwork, readTextQuietly, statQuietly } from '../../platform/files.ts';
import { VERSION } from '../../platform/installation.ts';
import { helperPath, loadNative, PACKAGE_ROOT } from '../../platform/native.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { exitCodeOf, runProgram } from '../../platform/run-program.ts';
import { run } from '../../service/manager.ts';
import { Service } from '../../service/service.ts';
import { stableHelper } from '../../service/stable-helper.ts';
import { runningDaemon } from '../../service/unmanaged.ts';
import { type Around, placeOf } from './around.ts';

const PROGRAM_LIMIT_MS = 5_000;
const LARGEST_FILE_BYTES = 256 * 1024;

export async function versions({ io, masking, status, doctor: report }: Around): Promise<string> {
  const { env } = io;
  const helpers = [...new Set([placeOf(() => stableHelper(stateDir(io))), helperPath()])].filter(
    (file) => file !== undefined,
  );
  const osRelease = readTextQuietly('/etc/os-release', LARGEST_FILE_BYTES) ?? '';
  return masking.json({
    broker: VERSION,
    daemon: status instanceof BrokerError ? null : status.daemon.version,
    node: process.version,
    sqlite: await sqliteVersion(),
    openssl: process.versions.openssl,
    nodePath: process.execPath,
    package: PACKAGE_ROOT,
    addon: loadNative() === undefined ? 'cannot be loaded' : 'loaded',
    helpers: await Promise.all(helpers.map(async (file) => ({ file, says: await saysOf(io, [file, '--version']) }))),
    client: { program: findClient(env['PATH'])?.path ?? null, version: report?.facts.client?.version ?? null },
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? null,
    libc:
      (process.report.getReport() as { header?: { glibcVersionRuntime?: string } }).header?.glibcVersionRuntime ?? null,
    environment: Object.fromEntries(variables(env)),
  });
}

async function sqliteVersion(): Promise<string> {
  const { default: Sqlite } = await import('better-sqlite3');
  const database = new Sqlite(':memory:');
  try {
    return String(database.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    database.close();
  }
}

const RELEVANT =
  /^(?:BROKER_|XDG_|CLAUDE|ANTHROPIC_|VAULT_|BAO_|AWS_|NODE_|SSL_|DBUS_|(?:HTTPS?|NO|ALL)_PROXY$|LD_|LANG$|LC_|TZ$|TERM$|SHELL$|WSL_|SSH_(?:CONNECTION|TTY)$|container$|CI$)/i;
/** Variables whose value is a place or a word of ours. Of every other one only that it is set is told. */
const TOLD =
  /^(?:BROKER_(?:CONFIG|STATE_DIR|SOCKET|SERVER_UID|NO_AUTOSTART|STARTED_BY)|XDG_\w+|PATH|HOME|LANG|TZ|TERM|SHELL|MALLOC_\w+|UV_\w+)$/;

function variables(env: ProcessIo['env']): readonly (readonly [string, string])[] {
  const present = Object.entries(env).filter(([name, value]) => RELEVANT.test(name) && value !== undefined);
  return present.map(([name, value = '']) => [name, TOLD.test(name) ? value : `(set, ${value.length} characters)`]);
}

async function saysOf(io: ProcessIo, command: readonly string[]): Promise<string> {
  const ended = await runProgram(
    command,
    { env: { PATH: io.env['PATH'] }, input: '', limitMs: PROGRAM_LIMIT_MS },
    io.clock,
  );
  const code = exitCodeOf(ended);
  return code === 0 ? ended.stdout.toString().trim() : `exit ${code}`;
}

export async function service({ io, masking }: Around): Promise<string> {
  const { manager, ...asService } = new Service(io);
  const folder = asService.stateDir;
  const state = await new Service(io).state();
  const dropIns = manager.places.flatMap((place) => filesIn(`${place}.d`));
  const files = [...manager.places, ...dropIns, launchFile(folder)].filter((file) => existsSync(file));
  const described = manager.describeCommand === undefined ? '' : (await run(manager.describeCommand, io)).stdout;
  const parts = files.map((file) => {
    const text = readTextQuietly(file, LARGEST_FILE_BYTES) ?? '(cannot be read)';
    return `\n# ${masking.text(file)}\n${masking.text(withoutVariables(text))}`;
  });
  return `${masking.json({ manager: manager.kind, ...state })}${masking.text(described)}${parts.join('')}`;
}

/** A person may have added variables to a unit: their values are told of our own alone. */
function withoutVariables(text: string): string {
  const told = (name: string, value: string) => (TOLD.test(name) ? value : '…');
  return text
    .replaceAll(
      /^(\s*(?:Environment=|env )"?)([A-Za-z_]\w*)=(.*)$/gm,
      (_, start: string, name: string, value: string) =>
        // One line may set several.
        /\s[A-Za-z_]\w*=/.test(value) ? `${start}${name}=…` : `${start}${name}=${told(name, value)}`,
    )
    .replaceAll(
      /(<key>([A-Z_]\w*)<\/key>\s*<string>)([^<]*)/g,
      (_, start: string, name: string, value: string) => start + told(name, value),
    );
}

export async function limits({ io, masking }: Around): Promise<string> {
  const folder = stateDir(io);
  const pid = runningDaemon(folder)?.pid;
  const there = nearest(folder);
  const { bavail, bsize, files, ffree } = statfsSync(there);
  const own = `memory ${Math.round(os.freemem() / 1e6)} of ${Math.round(os.totalmem() / 1e6)} MB free, ${os.cpus().length} processors`;
  const disk = `state folder ${folder}: ${Math.round((bavail * bsize) / 1e6)} MB and ${ffree} of ${files} inodes free`;
  const network = isOnNetwork(there) ? 'on a network file system' : 'on a local file system';
  const sockets = socketCandidates(io).map((place) => `socket ${place.path}: ${lookOf(place.path)}\n`);
  const ofDaemon = pid === undefined ? 'no daemon holds the state folder\n' : `daemon ${pid}\n${procText(pid)}`;
  return masking.text(`${own}\n${disk}, ${network}\n${sockets.join('')}${ofDaemon}`);
}

function procText(pid: number): string {
  try {
    const state = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^(?:State|VmRSS|VmSwap|Threads|Seccomp):.*$/gm);
    return `${state?.join('\n') ?? ''}\n${readFileSync(`/proc/${pid}/limits`, 'utf8')}`;
  } catch (error) {
    return `its limits cannot be read (${codeOf(error)})\n`;
  }
}

function nearest(folder: string): string {
  return statQuietly(folder) === undefined && folder !== '/' ? nearest(path.dirname(folder)) : folder;
}

export async function stateFolder({ io, masking }: Around): Promise<string> {
  const folder = stateDir(io);
  if (statQuietly(folder) === undefined) throw new Error('there is none');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  const lines = ['.', ...names].map((name) => `${name}: ${lookOf(path.join(folder, name))}\n`);
  return masking.text(`${folder}\n${lines.join('')}`);
}

function lookOf(file: string): string {
  let stats: Stats;
  try {
    stats = lstatSync(file);
  } catch (error) {
    const code = codeOf(error);
    return code === 'ENOENT' ? 'not there' : `cannot be looked at (${code})`;
  }
  const kind = stats.isSymbolicLink()
    ? 'link'
    : stats.isDirectory()
      ? 'folder'
      : stats.isSocket()
        ? 'socket'
        : stats.isFile()
          ? 'file'
          : 'other';
  return `${kind} ${(stats.mode & 0o7777).toString(8).padStart(4, '0')} uid ${stats.uid}, ${stats.size} bytes, ${stats.mtime.toISOString()}`;
}

function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}
