import { lstatSync, readdirSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { type InstallOutcome, uninstall } from '../claude/install/installer.ts';
import { CLAUDE_RECORDS } from '../claude/install/undo.ts';
import { listBackups } from '../claude/settings/backups.ts';
import { readAllSettings } from '../claude/settings/files.ts';
import { followLinks } from '../claude/settings/replace-file.ts';
import { runsBrokerHelper } from '../claude/shell/helper-command.ts';
import { type BrokerClient, connect } from '../client/broker-client.ts';
import { codexConfigFile, isOurs, readCodexConfig } from '../clients/codex-config.ts';
import { CODEX_RECORDS, uninstallCodex } from '../clients/codex-install.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { configFile, ownStateDir, sinkFile, socketCandidates, stateDir } from '../config/paths.ts';
import { BrokerError, codeOf } from '../errors.ts';
import { isOwnFolder, statQuietly } from '../platform/files.ts';
import { LAUNCH_AGENT, launchAgentLog } from '../platform/installation.ts';
import { describeTrouble, keyringName, trouble } from '../platform/keyring.ts';
import { keyringOf } from '../platform/keyring-child.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { waitUntil } from '../platform/waiting.ts';
import type { StatusReport } from '../protocol/reports.ts';
import { ITEMS_SERVICE, type KeychainSource, keychainDefinition } from '../providers/keychain/options.ts';
import { providerDefinitions } from '../providers/registry.ts';
import { askStatus } from '../service/health.ts';
import { isLink } from '../service/manager.ts';
import { Service } from '../service/service.ts';
import { runningDaemon } from '../service/unmanaged.ts';

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

interface Surroundings {
  readonly io: ProcessIo;
  readonly stateDir: string;
  /** undefined: there is none that can be read. */
  readonly config: Config | undefined;
  readonly client: BrokerClient | undefined;
  /** undefined: no daemon answers. */
  readonly status: StatusReport | undefined;
  readonly keepState: boolean;
}

/** Looks for what one kind of command wrote. Changes nothing and starts nothing. */
type Finder = (around: Surroundings) => Found | Promise<Found>;

/** The list of everything that commands of ours write, in the order in which it is taken away. Whatever writes something new is added here. */
const FINDERS: readonly Finder[] = [
  openLeases,
  daemonAndService,
  clientSettings,
  codexSettings,
  keychainValues,
  tokenFiles,
  runtimeFolders,
  agentLogs,
  keyInKeyring,
  stateFolder,
  configuration,
];

/** @throws BrokerError for a settings file that cannot be put right: nothing has been touched then. */
export async function findWritten(io: ProcessIo, keepState: boolean): Promise<Found> {
  const { env, homeDir, uid } = io;
  const loaded = await loadConfig({ file: configFile(io), types: providerDefinitions, env, homeDir, uid });
  const client = runningClient(io);
  const status = await client?.status().catch(() => undefined);
  const around = { io, stateDir: stateDir(io), config: loaded.config, client, status, keepState };
  const written: Written[] = [];
  const stays: Stays[] = [];
  for (const find of FINDERS) {
    const found = await find(around);
    written.push(...found.written);
    stays.push(...(found.stays ?? []));
  }
  return { written, stays };
}

/** The daemon that holds this state folder, where it listens; looking must not start one by the socket of a stopped service. */
function runningClient(io: ProcessIo): BrokerClient | undefined {
  const socket = runningDaemon(stateDir(io))?.socket ?? undefined;
  return socket === undefined ? undefined : connect(callerAt(io, socket));
}

/** A lease that cannot be revoked now lapses: nobody waits longer for that. */
const REVOKE_LIMIT_MS = 20_000;

function openLeases({ io, client, status, config, stateDir: folder }: Surroundings): Found {
  if (client === undefined || status === undefined) {
    const hasCache = there(path.join(ownStateDir(folder), 'cache.db'));
    const why =
      'no daemon answers that could revoke them: they end with their own time (or: broker service start, then this again)';
    return {
      written: [],
      stays: hasCache ? [{ where: 'leases and logins at the providers, if any are open', why }] : [],
    };
  }
  const leased = status.credentials.filter(({ lease, sessions = 0 }) => lease !== null || sessions > 0);
  const end = async (where: string, work: Promise<unknown>): Promise<Stays | undefined> => {
    try {
      const ended = await waitUntil(io.clock, work, io.clock.now() + REVOKE_LIMIT_MS);
      return ended.done ? undefined : { where, why: 'its provider does not answer: it ends with its own time' };
    } catch (error) {
      const why = error instanceof BrokerError ? error.message : 'it cannot be revoked';
      return { where, why: `${why}: it ends with its own time` };
    }
  };
  const leases = leased.map(({ name }) => ({
    kind: 'lease',
    where: `the lease of ${name}`,
    what: 'revoked at its provider',
    remove: () => end(`the lease of ${name}`, client.invalidate(name)),
  }));
  const taking = new Set(
    providerDefinitions.filter(({ interactive }) => interactive !== undefined).map(({ type }) => type),
  );
  const providers = [...(config?.providers.values() ?? [])]
    .filter(({ type }) => taking.has(type))
    .map(({ name }) => name);
  const logins: Written = {
    kind: 'login',
    where: `logins to ${providers.join(', ')}`,
    what: 'ended, where broker login made one',
    remove: async () => {
      for (const name of providers) {
        // One that logs in automatically takes no login, and has none to end.
        const ended = client.dropLogin(name).catch((error: unknown) => {
          if (!(error instanceof BrokerError) || error.code !== 'ERR_USAGE') throw error;
        });
        const stays = await end(`the login to ${name}`, ended);
        if (stays !== undefined) return stays;
      }
      return undefined;
    },
  };
  return { written: providers.length === 0 ? leases : [...leases, logins] };
}

async function daemonAndService({ io, stateDir: folder }: Surroundings): Promise<Found> {
  const service = new Service(io);
  const holder = runningDaemon(folder);
  const own = service.ownPlaces.filter((file) => there(file) && !isLink(file));
  const foreign = service.manager.places.filter(isLink);
  const stays = foreign.map((where) => ({ where, why: 'a link: something else put it there' }));
  for (const where of service.manager.places.map((place) => `${place}.d`)) {
    if (there(where)) stays.push({ where, why: 'your own changes of the unit' });
  }
  for (const where of ['broker.service', 'broker.socket'].map((name) => path.join('/etc/systemd/user', name))) {
    if (there(where))
      stays.push({ where, why: 'for every user of the machine: sudo broker service uninstall --everyone' });
  }
  const written: Written[] = [];
  if (holder !== undefined) {
    const remove = async () => {
      await service.stop();
      return undefined;
    };
    written.push({ kind: 'daemon', where: `the daemon, pid ${holder.pid}`, what: 'stopped', remove });
  }
  let isRemoved = false;
  written.push(
    ...own.map((file) => ({
      kind: 'service',
      where: file,
      what: 'written by broker service install or stop',
      remove: async () => {
        if (!isRemoved) await service.uninstall();
        isRemoved = true;
        return undefined;
      },
    })),
  );
  return { written, stays };
}

function clientSettings({ io, stateDir: folder }: Surroundings): Found {
  const context = { stateDir: folder, uid: io.uid, now: io.clock.wall() };
  const roots = { homeDir: io.homeDir, projectDir: process.cwd(), env: io.env, platform: io.platform, systemRoot: '/' };
  const ours = readAllSettings(roots).filter(({ helper }) => helper !== undefined && runsBrokerHelper(helper.value));
  const managed = ours.filter(({ scope }) => scope === 'managed');
  const own = ours.filter(({ scope, uid }) => scope !== 'managed' && uid === io.uid).map(({ file }) => file);
  const written: Written[] = [];
  const recorded = CLAUDE_RECORDS.files(folder);
  for (const file of new Set([...recorded, ...own])) {
    const request = { file, target: undefined, force: false };
    written.push(...linesIn(file, recorded, (dryRun) => uninstall(context, { ...request, dryRun })));
  }
  const stays = managed.map(({ file }) => ({ where: file, why: "an administrator's settings name the helper" }));
  return { written, stays };
}

/** Looks now whether it could be done later. */
function linesIn(
  file: string,
  recorded: readonly string[],
  change: (dryRun: boolean) => Pick<InstallOutcome, 'before' | 'after'>,
): readonly Written[] {
  const { before, after } = change(true);
  if (before === after && !recorded.includes(file)) return [];
  return [
    {
      kind: 'settings',
      where: file,
      what: after === undefined ? 'the file, which install made' : "the broker's lines; everything else stays",
      remove: async () => {
        change(false);
        return undefined;
      },
    },
  ];
}

function codexSettings({ io, stateDir: folder }: Surroundings): Found {
  const context = { stateDir: folder, uid: io.uid, now: io.clock.wall() };
  const recorded = CODEX_RECORDS.files(folder);
  const { file, providers } = readCodexConfig(codexConfigFile(io));
  const files = new Set([...recorded, ...(providers.some(isOurs) ? [followLinks(file)] : [])]);
  return {
    written: [...files].flatMap((each) =>
      linesIn(each, recorded, (dryRun) => uninstallCodex(context, { file: each, dryRun })),
    ),
  };
}

function keychainValues({ io, config }: Surroundings): Found {
  const { credentials, providers } = config ?? {};
  const ours = [...(credentials?.values() ?? [])].filter(
    ({ provider }) => providers?.get(provider)?.type === keychainDefinition.type,
  );
  const keyring = keyringName(io.platform);
  const written = ours.map(({ name, source }): Written => {
    const { item } = source as KeychainSource;
    const where = `"${item}" in the ${keyring}`;
    return {
      kind: 'keychain',
      where,
      what: `the value of ${name}, if broker set stored one`,
      remove: async () => {
        const request = {
          action: 'remove',
          service: ITEMS_SERVICE,
          account: item,
          mayStart: true,
          byPerson: true,
        } as const;
        const reply = (await keyringOf(io)?.(request)) ?? trouble('no-bus');
        if (reply.outcome !== 'trouble') return undefined;
        return { where, why: describeTrouble(keyring, reply).reason, failed: true };
      },
    };
  });
  return { written };
}

/** Of a daemon that was killed: one that stops removes them. */
function tokenFiles({ io, config }: Surroundings): Found {
  const files = [...(config?.credentials.values() ?? [])].flatMap(({ name, sink }) =>
    sink === undefined ? [] : [{ name, file: sinkFile(sink, io) }],
  );
  const found = files.filter(({ file }) => isOwnFile(file, io.uid));
  return { written: found.map(({ name, file }) => fileOf('token', file, `the token of ${name}`)) };
}

function runtimeFolders({ io, stateDir: folder }: Surroundings): Found {
  const written = socketCandidates(io).flatMap(({ path: socket, folder: place, kind }) => {
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
function callerAt({ env, uid, homeDir, platform, clock }: ProcessIo, socket: string): Parameters<typeof connect>[0] {
  return { env: { ...env, BROKER_SOCKET: socket }, uid, homeDir, platform, clock };
}

function agentLogs({ io }: Surroundings): Found {
  if (io.platform !== 'darwin') return { written: [] };
  const log = launchAgentLog(io.homeDir);
  const files = [log, `${log}.1`].filter((file) => isOwnFile(file, io.uid));
  return { written: files.map((file) => fileOf('log', file, `the log of ${LAUNCH_AGENT}`)) };
}

/** A key in the keyring would outlive the folder with what it encrypts. */
function keyInKeyring({ io, status, stateDir: folder, keepState }: Surroundings): Found {
  const own = ownStateDir(folder);
  const home = status?.daemon.cache.keyHome;
  const mayBe = home === 'keyring' || (home == null && !there(path.join(own, 'kek')) && keyringOf(io) !== undefined);
  if (keepState || !mayBe || !there(path.join(own, 'cache.db'))) return { written: [] };
  const where = `the key of the cache in the ${keyringName(io.platform)}`;
  return {
    written: [
      {
        kind: 'keyring',
        where,
        what: 'of no use without the cache',
        remove: async () => {
          const { rotateOffline } = await import('../daemon/offline-rotation.ts');
          const stays = (why: string): Stays => ({
            where,
            why: `${why}; to look for it: secret-tool search service apikey-broker`,
            failed: true,
          });
          try {
            const { left } = await rotateOffline(io, { discard: false, to: 'file' });
            return left === null ? undefined : stays(left);
          } catch (error) {
            return stays(error instanceof BrokerError ? error.message : 'it cannot be removed');
          }
        },
      },
    ],
  };
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
  '.': /^(?:cache\.db(?:[.-].*)?|kek(?:\..*)?|lock|running|refusal|launch|stopped|compiled|broker\.log(?:\.1)?|broker\.sock|claude-settings\.lock)$/,
};
const UNFINISHED = /^\..*\.\d+\.broker-tmp$/;

function stateFolder({ io, stateDir: folder, keepState }: Surroundings): Found {
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
function configuration({ io }: Surroundings): Found {
  const file = configFile(io);
  const stats = lstatSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return { written: [] };
  if (!stats.isFile() || stats.uid !== io.uid) {
    const why = stats.isSymbolicLink() ? 'a link: something else put it there' : 'not a file of yours';
    return { written: [], stays: [{ where: file, why }] };
  }
  const { remove, ...rest } = fileOf('configuration', file, 'the configuration');
  return {
    written: [
      {
        ...rest,
        remove: async () => (await remove()) ?? removeIfEmpty(path.dirname(file)),
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

function isFolder(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}

function there(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

function isOwnFile(file: string, uid: number): boolean {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  return stats?.isFile() === true && stats.uid === uid;
}
