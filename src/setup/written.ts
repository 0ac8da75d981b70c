import path from 'node:path';
import { type InstallOutcome, uninstall } from '../claude/install/installer.ts';
import { CLAUDE_RECORDS } from '../claude/install/undo.ts';
import { readAllSettings } from '../claude/settings/files.ts';
import { followLinks } from '../claude/settings/replace-file.ts';
import { runsBrokerHelper } from '../claude/shell/helper-command.ts';
import { type BrokerClient, connect } from '../client/broker-client.ts';
import { codexConfigFile, isOurs, readCodexConfig } from '../clients/codex-config.ts';
import { CODEX_RECORDS, uninstallCodex } from '../clients/codex-uninstall.ts';
import { configFile, ownStateDir, stateDir } from '../config/paths.ts';
import { BrokerError } from '../errors.ts';
import { describeTrouble, keyringName, trouble } from '../platform/keyring.ts';
import { keyringOf } from '../platform/keyring-child.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { waitUntil } from '../platform/waiting.ts';
import { ITEMS_SERVICE, type KeychainSource, keychainDefinition } from '../providers/keychain/options.ts';
import { loadOwnConfig } from '../providers/own-config.ts';
import { providerDefinitions } from '../providers/registry.ts';
import { isLink } from '../service/manager.ts';
import { Service } from '../service/service.ts';
import { runningDaemon } from '../service/unmanaged.ts';
import {
  agentLogs,
  callerAt,
  configuration,
  type Found,
  type RemovalContext,
  removeWithParents,
  runtimeFolders,
  type Stays,
  stateFolder,
  there,
  tokenFiles,
  type Written,
} from './written-files.ts';

/** Looks for what one kind of command wrote. Changes nothing and starts nothing. */
type Finder = (around: RemovalContext) => Found | Promise<Found>;

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
  const { homeDir } = io;
  const loaded = await loadOwnConfig(io, configFile(io));
  const client = runningClient(io);
  const status = await client?.status().catch(() => undefined);
  const around = { io, stateDir: stateDir(io), config: loaded.config, client, status, keepState };
  const written: Written[] = [];
  const stays: Stays[] = [];
  for (const find of FINDERS) {
    const found = await find(around);
    written.push(...found.written.map((each) => ({ ...each, remove: () => removeWithParents(each, homeDir) })));
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

function openLeases({ io, client, status, config, stateDir: folder }: RemovalContext): Found {
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

async function daemonAndService({ io, stateDir: folder }: RemovalContext): Promise<Found> {
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
      what: 'how the daemon is started',
      remove: async () => {
        if (!isRemoved) await service.uninstall();
        isRemoved = true;
        return undefined;
      },
    })),
  );
  return { written, stays };
}

function clientSettings({ io, stateDir: folder }: RemovalContext): Found {
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

function codexSettings({ io, stateDir: folder }: RemovalContext): Found {
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

function keychainValues({ io, config }: RemovalContext): Found {
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
        const why = describeTrouble(keyring, reply).reason;
        // Where there is no keyring there is most likely nothing in it.
        const isThere = reply.why === 'locked' || reply.why === 'silent' || reply.why === 'failed';
        return isThere ? { where, why, failed: true } : { where, why };
      },
    };
  });
  return { written };
}

/** A key in the keyring would outlive the folder with what it encrypts. */
function keyInKeyring({ io, status, stateDir: folder, keepState }: RemovalContext): Found {
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
