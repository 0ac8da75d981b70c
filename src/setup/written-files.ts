import { lstatSync, readdirSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { listBackups } from '../claude/settings/backups.ts';
import type { BrokerClient, connect } from '../client/broker-client.ts';
import type { Config } from '../config/config.ts';
import { configFile, ownStateDir, sinkFile, socketCandidates } from '../config/paths.ts';
import { LARGEST_CONFIG_BYTES } from '../config/safe-file.ts';
import { codeOf, shellWord } from '../errors.ts';
import { readTextQuietly, statQuietly } from '../platform/files.ts';
import { LAUNCH_AGENT, launchAgentLog } from '../platform/installation.ts';
import { isOwnFolder } from '../platform/place-rules.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import type { StatusReport } from '../protocol/reports.ts';
import { askStatus } from '../service/health.ts';
import { BEGUN_BY_SETUP } from './new-tables.ts';

/** Something that a command of ours wrote, and how it is taken away. */
export interface Written {
  readonly kind: string;
  /** The file or folder, or words for what is in neither. */
  readonly where: string;
  /** What it is, in a few words. */
  readonly what: string;
  /** @returns what had to stay, and why; undefined: it is gone. @throws BrokerError if nothing after it may be removed. */
  readonly remove: () => Promise<Stays | undefined>;
}

/** What is not taken away, and why or what a person does about it. */
export interface Stays {
  readonly where: string;
  readonly why: string;
  /** It should be gone. */
  readonly failed?: true;
}

export interface Found {
  readonly written: readonly Written[];
  readonly stays?: readonly Stays[];
}

export interface RemovalContext {
  readonly io: ProcessIo;
  readonly stateDir: string;
  /** undefined: there is none that can be read. */
  readonly config: Config | undefined;
  readonly client: BrokerClient | undefined;
  /** undefined: no daemon answers. */
  readonly status: StatusReport | undefined;
  readonly keepState: boolean;
}

/** Of a daemon that was killed: one that stops removes them. */
export function tokenFiles({ io, config }: RemovalContext): Found {
  const files = [...(config?.credentials.values() ?? [])].flatMap(({ name, sink }) =>
    sink === undefined ? [] : [{ name, file: sinkFile(sink, io) }],
  );
  const found = files.filter(({ file }) => isOwnFile(file, io.uid));
  return { written: found.map(({ name, file }) => fileOf('token', file, `the token of ${name}`)) };
}

export function runtimeFolders({ io, stateDir: folder }: RemovalContext): Found {
  const written = socketCandidates(io).flatMap(({ path: socket, folder: place, kind }) => {
    if (kind === 'runtime' && !isOwnFolder(path.dirname(place), io.uid)) return [];
    // A folder that BROKER_SOCKET names is most likely somebody's own.
    const isOurs = (kind !== 'given' || path.basename(place) === 'broker') && place !== folder;
    if (isOurs && isOwnFolder(place, io.uid)) {
      const name = path.basename(socket);
      const entry = folderOf('runtime', place, "the socket's folder", (file) => file === name);
      return [whenFree(io, socket, entry)];
    }
    const isThere = lstatSync(socket, { throwIfNoEntry: false })?.isSocket() === true;
    return isThere && place !== folder ? [whenFree(io, socket, fileOf('runtime', socket, 'the socket'))] : [];
  });
  return { written };
}

/** The place may be that of a daemon with another state folder. */
function whenFree(io: ProcessIo, socket: string, written: Written): Written {
  const remove = async (): Promise<Stays | undefined> => {
    const other = await askStatus(callerAt(io, socket));
    if (other === undefined) return written.remove();
    return { where: written.where, why: `another daemon, pid ${other.pid}, listens there` };
  };
  return { ...written, remove };
}

/** Who asks at one socket and nowhere else: others may be those of other daemons. */
export function callerAt(
  { env, uid, homeDir, platform, clock }: ProcessIo,
  socket: string,
): Parameters<typeof connect>[0] {
  return { env: { ...env, BROKER_SOCKET: socket }, uid, homeDir, platform, clock };
}

export function agentLogs({ io }: RemovalContext): Found {
  if (io.platform !== 'darwin') return { written: [] };
  const log = launchAgentLog(io.homeDir);
  const files = [log, `${log}.1`].filter((file) => isOwnFile(file, io.uid));
  return { written: files.map((file) => fileOf('log', file, `the log of ${LAUNCH_AGENT}`)) };
}

/**
 * Everything that daemon, helper and CLI put into the state folder, by the folder in it. What else is there is somebody's own and
 * stays: BROKER_STATE_DIR may name a folder that has other things in it.
 */
const STATE_FILES: Readonly<Record<string, RegExp>> = {
  bin: /^broker-key(?:-desktop)?$/,
  claude: /^(?:enrolment|[0-9a-f]{16})\.json$/,
  codex: /^[0-9a-f]{16}\.json$/,
  backups: /^\d{8}T\d{6}Z-[0-9a-f]{8}\.(?:backup|json)$/,
  runtime: /^node(?:\.\d+\.new)?$/,
  '.': /^(?:cache\.db(?:[.-].*)?|kek(?:\..*)?|lock|running|refusal|launch|stopped|compiled|login-[0-9a-f]{16}\.answer(?:\..*)?|broker\.log(?:\.1)?|broker\.sock|claude-settings\.lock)$/,
};
const UNFINISHED = /^\..*\.\d+\.broker-tmp$/;

export function stateFolder({ io, stateDir: folder, keepState }: RemovalContext): Found {
  if (keepState || !there(folder)) return { written: [] };
  if (!isOwnFolder(folder, io.uid)) return { written: [], stays: [{ where: folder, why: 'not a folder of yours' }] };
  const own = ownStateDir(folder);
  const copies = listBackups(folder).length;
  const more = copies === 0 ? '' : `, ${copies} copies of files as they were (broker claude backups)`;
  const what = `the encrypted cache, its key, the helper, records${more}`;
  if (own === folder) return { written: [stateOf(folder, what)] };
  // In a home that several machines share each has a folder of its own.
  const hosts = path.dirname(own);
  const others = there(hosts) ? readdirSync(hosts).filter((name) => name !== path.basename(own)) : [];
  const written = [stateOf(own, `${what}, of this machine`)];
  if (others.length > 0) {
    return { written, stays: [{ where: folder, why: `${others.length} other machines keep theirs in it` }] };
  }
  return { written: [...written, folderOf('state', hosts, 'its folder', () => false), stateOf(folder, what)] };
}

function stateOf(folder: string, what: string): Written {
  const inner = Object.entries(STATE_FILES).map(([name, files]) =>
    folderOf('state', path.join(folder, name), what, (file) => files.test(file) || UNFINISHED.test(file)),
  );
  return {
    kind: 'state',
    where: folder,
    what,
    remove: async () => {
      let stays: Stays | undefined;
      for (const { remove } of inner) stays = await remove();
      return stays;
    },
  };
}

/** Last, since all the rest is found by it. */
export function configuration({ io }: RemovalContext): Found {
  const file = configFile(io);
  const stats = lstatSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return { written: [] };
  if (!stats.isFile() || stats.uid !== io.uid) {
    const why = stats.isSymbolicLink() ? 'a link: something else put it there' : 'not a file of yours';
    return { written: [], stays: [{ where: file, why }] };
  }
  if (readTextQuietly(file, LARGEST_CONFIG_BYTES)?.includes(BEGUN_BY_SETUP) !== true) {
    const why = `it lacks the first line of broker setup, and so is yours; to delete it: rm ${shellWord(file)}`;
    return { written: [], stays: [{ where: file, why }] };
  }
  const { remove, ...rest } = fileOf('configuration', file, 'the configuration');
  const folder = path.dirname(file);
  return {
    written: [
      {
        ...rest,
        remove: async () =>
          (await remove()) ?? (path.basename(folder) === 'broker' ? removeIfEmpty(folder) : undefined),
      },
    ],
  };
}

function fileOf(kind: string, file: string, what: string): Written {
  return {
    kind,
    where: file,
    what,
    remove: async () => {
      try {
        unlinkSync(file);
      } catch (error) {
        if (codeOf(error) !== 'ENOENT')
          return { where: file, why: `it cannot be removed (${codeOf(error)})`, failed: true };
      }
      return undefined;
    },
  };
}

/** A folder with what `isOurs` names in it; what else lies there stays, and the folder with it. */
function folderOf(kind: string, folder: string, what: string, isOurs: (name: string) => boolean): Written {
  return {
    kind,
    where: folder,
    what,
    remove: async () => {
      if (statQuietly(folder) === undefined) return undefined;
      try {
        const files = readdirSync(folder).filter((name) => isOurs(name) && !isFolder(path.join(folder, name)));
        for (const name of files) rmSync(path.join(folder, name), { force: true });
      } catch (error) {
        return { where: folder, why: `it cannot be removed (${codeOf(error)})`, failed: true };
      }
      return removeIfEmpty(folder);
    },
  };
}

function removeIfEmpty(folder: string): Stays | undefined {
  try {
    rmdirSync(folder);
    return undefined;
  } catch (error) {
    const left = statQuietly(folder) === undefined ? [] : readdirSync(folder);
    if (left.length === 0 && codeOf(error) === 'ENOENT') return undefined;
    if (left.length === 0) return { where: folder, why: `it cannot be removed (${codeOf(error)})`, failed: true };
    const shown = left.length > 3 ? [...left.slice(0, 3), `${left.length - 3} more`] : left;
    return { where: folder, why: `not ours: ${shown.join(', ')}` };
  }
}

/** With the folders below the home that hold nothing any more: `mkdir -p` made them, or whoever needs them makes them again. */
export async function removeWithParents({ kind, where, remove }: Written, homeDir: string): Promise<Stays | undefined> {
  const stays = await remove();
  if (stays !== undefined || !['service', 'state', 'configuration'].includes(kind)) return stays;
  for (let each = path.dirname(where); each.startsWith(`${homeDir}/`); each = path.dirname(each)) {
    try {
      rmdirSync(each);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') break;
    }
  }
  return undefined;
}

function isFolder(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}

export function there(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

function isOwnFile(file: string, uid: number): boolean {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  return stats?.isFile() === true && stats.uid === uid;
}
