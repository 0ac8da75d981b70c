import { lstatSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path, { dirname, join } from 'node:path';
import { BrokerError, codeOf } from '../errors.ts';
import { isOnNetwork } from '../platform/files.ts';
import { loadNative } from '../platform/native.ts';
import { ensurePrivateFolder } from '../platform/place-rules.ts';

/** Everything that decides where files are, handed in so that the answer depends on nothing else. */
export interface PathInputs {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** The caller's home: `$HOME`, else what the user database says. */
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  /** macOS: the caller's own folder for temporary files. */
  readonly userTempFolder?: string | undefined;
}

interface SocketCandidate {
  readonly path: string;
  /** The folder that holds the socket: the caller's own, mode 0700, made by the daemon where it is missing. */
  readonly folder: string;
  /**
   * given: by BROKER_SOCKET, and there is no other place · runtime: applies if the folder above belongs to the caller ·
   * tmp: where any user may have made the folder first · state: in the state folder, unless that is on the network.
   */
  readonly kind: 'given' | 'runtime' | 'tmp' | 'state';
}

/** How the folders of the candidates are. */
export interface FolderFacts {
  /** It exists, is not a symbolic link and belongs to the caller. */
  readonly isOwn: (folder: string) => boolean;
  /** It can be neither used nor made: another user made it, or nothing can be made there. */
  readonly isTaken: (folder: string) => boolean;
  readonly isOnNetwork: (folder: string) => boolean;
}

/** `$BROKER_CONFIG`, else `$XDG_CONFIG_HOME/broker/config.toml`, else `~/.config/broker/config.toml`. */
export function configFile(inputs: PathInputs): string {
  return configFileOrNone(inputs) ?? neitherNamedNorHome(inputs);
}

/** The same; undefined for whoever has no home and names no other place: a daemon may answer all the same. */
export function configFileOrNone(inputs: PathInputs): string | undefined {
  return variable(inputs, 'BROKER_CONFIG') ?? inOwnFolder(inputs, 'XDG_CONFIG_HOME', '.config', 'config.toml');
}

/**
 * On a machine that is new to the broker everything leads to `broker setup`: undefined if there is a configuration, or a path that
 * cannot be looked at, which `broker config validate` explains.
 */
export function notSetUp(inputs: PathInputs): BrokerError | undefined {
  const file = quietly(configFileOrNone, inputs);
  if (file === undefined || existsOrIsHidden(file)) return undefined;
  const elsewhere = variable(inputs, 'BROKER_SOCKET');
  const message =
    elsewhere === undefined ? `broker is not set up: there is no ${file}` : `no daemon answers at ${elsewhere}`;
  const remedy =
    elsewhere === undefined
      ? 'run: broker setup'
      : `run broker setup, as there is no ${file}; or start the daemon that BROKER_SOCKET leads to`;
  return new BrokerError('ERR_DAEMON_UNREACHABLE', message, { remedy });
}

/** The configuration that this shell leads to, if it leads to one: a container may have no more than the socket of a daemon. */
export function shellConfig(inputs: PathInputs): string | undefined {
  const isMeant = variable(inputs, 'BROKER_CONFIG') !== undefined || notSetUp(inputs) === undefined;
  return isMeant ? configFileOrNone(inputs) : undefined;
}

function existsOrIsHidden(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    return codeOf(error) !== 'ENOTDIR';
  }
}

/** STATE/launch: how the helper starts the daemon; there once a service, or a helper's line, was installed. */
export function launchFile(stateFolder: string): string {
  return join(stateFolder, 'launch');
}

/** `$BROKER_STATE_DIR`, else `$XDG_STATE_HOME/broker`, else `~/.local/state/broker`. `$STATE_DIRECTORY` is not read. */
export function stateDir(inputs: PathInputs): string {
  return stateDirOrNone(inputs) ?? neitherNamedNorHome(inputs);
}

/** The same; undefined for whoever has no home and names no other place. */
export function stateDirOrNone(inputs: PathInputs): string | undefined {
  return variable(inputs, 'BROKER_STATE_DIR') ?? inOwnFolder(inputs, 'XDG_STATE_HOME', '.local/state');
}

/**
 * Where the socket may be, best place first. Clients try them in this order and take the first that answers; the
 * daemon binds in the first that can be (`firstUsable`).
 *
 * @throws BrokerError ERR_CONFIG if BROKER_SOCKET is relative or too long for a socket address.
 */
export function socketCandidates(inputs: PathInputs): readonly SocketCandidate[] {
  const explicit = variable(inputs, 'BROKER_SOCKET');
  if (explicit !== undefined) {
    requireBindable(explicit, inputs.platform);
    return [{ path: explicit, folder: path.posix.dirname(explicit), kind: 'given' }];
  }
  const runtimeDir = xdg(inputs, 'XDG_RUNTIME_DIR');
  const places: SocketCandidate[] = [];
  if (runtimeDir !== undefined) places.push(inFolder(`${runtimeDir}/broker`, 'runtime'));
  if (runtimeDir !== `/run/user/${inputs.uid}`) places.push(inFolder(`/run/user/${inputs.uid}/broker`, 'runtime'));
  if (inputs.userTempFolder !== undefined)
    places.push(inFolder(path.posix.join(inputs.userTempFolder, 'broker'), 'runtime'));
  places.push(inFolder(`/tmp/broker-${inputs.uid}`, 'tmp'));
  const state = quietly(stateDirOrNone, inputs);
  if (state !== undefined && fits(`${state}/broker.sock`, inputs.platform)) places.push(inFolder(state, 'state'));
  return places;
}

/**
 * The first place that the daemon can bind in, and the folder in /tmp that it would have used if another user had not taken
 * it.
 *
 * @throws BrokerError ERR_CONFIG naming the path if the place that applies makes a socket address that is too long.
 */
export function firstUsable(
  candidates: readonly SocketCandidate[],
  platform: NodeJS.Platform,
  { isOwn, isTaken, isOnNetwork }: FolderFacts,
): { readonly place: SocketCandidate; readonly taken: string | undefined } {
  let taken: string | undefined;
  for (const place of candidates) {
    const { kind, folder } = place;
    if (kind === 'runtime' && !isOwn(path.posix.dirname(folder))) continue;
    if (kind === 'state' && isOnNetwork(folder)) continue;
    if (kind === 'tmp' && isTaken(folder)) {
      taken = folder;
      continue;
    }
    requireBindable(place.path, platform);
    return { place, taken };
  }
  const why = taken === undefined ? '' : `: another user has taken ${taken}`;
  throw new BrokerError('ERR_CONFIG', `there is no folder for the socket${why}`, {
    remedy: 'set BROKER_SOCKET to an absolute path in a folder of your own',
  });
}

/** sun_path less its final NUL: 108 bytes on Linux, 104 on macOS and the BSDs. */
function longestSocketPath(platform: NodeJS.Platform): number {
  return platform === 'linux' || platform === 'android' ? 107 : 103;
}

function fits(socket: string, platform: NodeJS.Platform): boolean {
  return Buffer.byteLength(socket) <= longestSocketPath(platform);
}

/** Some Node versions silently bind a truncated name, so that a longer path has to be refused here. */
export function requireBindable(socket: string, platform: NodeJS.Platform): void {
  if (fits(socket, platform)) return;
  const bytes = Buffer.byteLength(socket);
  const longest = longestSocketPath(platform);
  throw new BrokerError(
    'ERR_CONFIG',
    `the socket path is ${bytes} bytes long, and a socket address holds ${longest}: ${socket}`,
    { remedy: 'set BROKER_SOCKET to a shorter absolute path in a folder of your own' },
  );
}

/** `~` and `~/…` under `homeDir`, if there is one; everything else as it is. */
export function expandHome(file: string, homeDir: string): string {
  if (homeDir === '') return file;
  if (file === '~') return homeDir;
  return file.startsWith('~/') ? path.posix.join(homeDir, file.slice(2)) : file;
}

/** Of the broker, in memory on every Linux with a login manager. Nothing is created. */
function runtimeFolder(inputs: Pick<PathInputs, 'env' | 'uid'>): string {
  const base = inputs.env['XDG_RUNTIME_DIR'];
  return `${base !== undefined && path.posix.isAbsolute(base) ? base : `/run/user/${inputs.uid}`}/broker`;
}

/** The `file` of a credential's sink, as daemon and CLI have it. */
export function sinkFile(written: string, inputs: Pick<PathInputs, 'env' | 'uid'>): string {
  return written.replace(/^\{runtime\}/, () => runtimeFolder(inputs));
}

/** Put together as the helper does it, without resolving anything: behind a link, `..` is another folder. */
function inFolder(folder: string, kind: SocketCandidate['kind']): SocketCandidate {
  return { path: `${folder}/broker.sock`, folder, kind };
}

/** A place of which a variable makes no sense does not keep anybody from a daemon in another one. */
function quietly(find: typeof stateDirOrNone, inputs: PathInputs): string | undefined {
  try {
    return find(inputs);
  } catch {
    return undefined;
  }
}

/** One of our own variables: an empty one counts as unset, a relative path would mean another file in every folder. */
function variable({ env }: PathInputs, name: string): string | undefined {
  const value = env[name];
  if (value === undefined || value === '') return undefined;
  if (!path.posix.isAbsolute(value)) {
    throw new BrokerError('ERR_CONFIG', `${name} is not an absolute path: ${value}`, {
      remedy: `set ${name} to a path that starts with / (~ is not expanded in it), or unset it`,
    });
  }
  return value;
}

/** The XDG base directory specification: "If an implementation encounters a relative path … ignore it." */
function xdg({ env }: PathInputs, name: string): string | undefined {
  const value = env[name];
  return value !== undefined && path.posix.isAbsolute(value) ? value : undefined;
}

function inOwnFolder(inputs: PathInputs, base: string, underHome: string, name = ''): string | undefined {
  const { homeDir } = inputs;
  const home = path.posix.isAbsolute(homeDir) ? path.posix.join(homeDir, underHome) : undefined;
  const folder = xdg(inputs, base) ?? home;
  return folder && path.posix.join(folder, 'broker', name);
}

function neitherNamedNorHome(inputs: PathInputs): never {
  throw noHome(inputs);
}

/** Why there is no configuration file, or no state folder. */
export function noHome({ homeDir, env, uid }: PathInputs): BrokerError {
  const none =
    env['HOME'] === undefined ? `HOME is not set, and uid ${uid} has no home in the user database` : 'HOME is empty';
  return new BrokerError('ERR_CONFIG', homeDir === '' ? none : `HOME is not an absolute path: ${homeDir}`, {
    remedy: 'set HOME to a folder of your own, or set BROKER_CONFIG, BROKER_STATE_DIR and BROKER_SOCKET',
  });
}

export interface Places {
  readonly configFile: string;
  /** Exists, is the caller's own and closed to others. */
  readonly stateDir: string;
  readonly isNetworkFileSystem: boolean;
}

/**
 * Where this machine's daemon keeps what it keeps. In a home that many machines share over the network each of them
 * gets a folder of its own, because SQLite's write-ahead log cannot be shared between machines.
 *
 * @throws BrokerError ERR_UNSAFE_FILE, ERR_IO, ERR_CONFIG.
 */
export function preparePlaces(inputs: PathInputs): Places {
  const base = stateDir(inputs);
  makeStateFolder(base, inputs.uid);
  const own = ownStateDir(base);
  const isNetworkFileSystem = own !== base;
  if (isNetworkFileSystem) for (const folder of [dirname(own), own]) ensurePrivateFolder(folder, inputs.uid);
  return { configFile: configFile(inputs), stateDir: own, isNetworkFileSystem };
}

function makeStateFolder(folder: string, uid: number): void {
  try {
    ensurePrivateFolder(folder, uid);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError('ERR_IO', `cannot make the state folder ${folder} (${codeOf(error)})`, {
      remedy: `set HOME, or BROKER_STATE_DIR, to a folder that uid ${uid} can write in`,
      cause: error,
    });
  }
}

/** Where in the state folder this machine's daemon keeps its own; the helper computes the same. Creates nothing. */
export function ownStateDir(base: string): string {
  return isOnNetwork(base) ? join(base, 'hosts', machineId()) : base;
}

/** machine-id(5); the host's name where there is none, which on a Mac changes with the network. */
function machineId(): string {
  const native = loadNative()?.machineId();
  if (native !== undefined) return native;
  try {
    const id = readFileSync('/etc/machine-id', 'utf8').trim();
    if (/^[0-9a-f]{32}$/.test(id)) return id;
  } catch {
    // Minimal containers have none, nor has a Mac without the addon.
  }
  return hostname().replace(/[^A-Za-z0-9.-]/g, '_');
}
