import { describe, expect, it } from 'vitest';
import {
  configFile,
  expandHome,
  type FolderFacts,
  firstUsable,
  type PathInputs,
  requireBindable,
  socketCandidates,
  stateDir,
} from '../../../src/config/paths.ts';

const inputs = (env: PathInputs['env'] = {}, more: Partial<PathInputs> = {}): PathInputs => ({
  env,
  uid: 1000,
  homeDir: '/home/u',
  platform: 'linux',
  ...more,
});
const folders: FolderFacts = { isOwn: () => false, isTaken: () => false, isOnNetwork: () => false };
const sockets = (env: PathInputs['env'], more?: Partial<PathInputs>) =>
  socketCandidates(inputs(env, more)).map(({ path }) => path);

describe('the configuration file and the state folder', () => {
  it('are taken from our own variables first', () => {
    const env = { BROKER_CONFIG: '/c/x.toml', BROKER_STATE_DIR: '/s', XDG_CONFIG_HOME: '/xc', XDG_STATE_HOME: '/xs' };
    expect([configFile(inputs(env)), stateDir(inputs(env))]).toEqual(['/c/x.toml', '/s']);
  });

  it('are taken from the XDG folders next, then from the home folder', () => {
    const env = { BROKER_CONFIG: '', XDG_CONFIG_HOME: '/xc', XDG_STATE_HOME: '/xs' };
    expect([configFile(inputs(env)), stateDir(inputs(env))]).toEqual(['/xc/broker/config.toml', '/xs/broker']);
    const none = inputs({ XDG_CONFIG_HOME: 'relative', XDG_STATE_HOME: '' });
    expect([configFile(none), stateDir(none)]).toEqual([
      '/home/u/.config/broker/config.toml',
      '/home/u/.local/state/broker',
    ]);
  });

  it('take nothing from STATE_DIRECTORY', () => {
    expect(stateDir(inputs({ STATE_DIRECTORY: '/var/lib/other' }))).toBe('/home/u/.local/state/broker');
  });

  it.each(['BROKER_CONFIG', 'BROKER_STATE_DIR', 'BROKER_SOCKET'])('may not be relative in %s', (name) => {
    const all = () => [configFile, stateDir, socketCandidates].map((of) => of(inputs({ [name]: '~/x' })));
    expect(all).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG',
        exitCode: 78,
        message: expect.stringContaining(`${name} is not an absolute path: ~/x`),
        remedy: expect.stringContaining('starts with /'),
      }),
    );
  });

  it('need a home only where no variable names them', () => {
    const homeless = { homeDir: '' };
    expect(configFile(inputs({ BROKER_CONFIG: '/c' }, homeless))).toBe('/c');
    expect(() => configFile(inputs({ HOME: '' }, homeless))).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: 'HOME is empty' }),
    );
    expect(() => configFile(inputs({}, { ...homeless, uid: 54_321 }))).toThrow(
      expect.objectContaining({ message: 'HOME is not set, and uid 54321 has no home in the user database' }),
    );
    expect(() => stateDir(inputs({}, { homeDir: 'u' }))).toThrow(
      expect.objectContaining({ message: 'HOME is not an absolute path: u' }),
    );
  });
});

describe('the socket', () => {
  it('is where BROKER_SOCKET says and nowhere else', () => {
    expect(sockets({ BROKER_SOCKET: '/link/../s.sock' })).toEqual(['/link/../s.sock']);
    expect(sockets({ BROKER_SOCKET: '/b/s.sock', XDG_RUNTIME_DIR: '/run/user/1000' })).toEqual(['/b/s.sock']);
  });

  it('is looked for in the runtime folder, in /run/user, in /tmp and in the state folder, in this order', () => {
    const last = '/home/u/.local/state/broker/broker.sock';
    const rest = ['/run/user/1000/broker/broker.sock', '/tmp/broker-1000/broker.sock', last];
    expect(sockets({ XDG_RUNTIME_DIR: '/rt' })).toEqual(['/rt/broker/broker.sock', ...rest]);
    expect(sockets({ XDG_RUNTIME_DIR: '/run/user/1000' })).toEqual(rest);
    expect(sockets({ XDG_RUNTIME_DIR: 'rt' })).toEqual(rest);
    expect(sockets({}, { uid: 7 })).toEqual(['/run/user/7/broker/broker.sock', '/tmp/broker-7/broker.sock', last]);
    // Where there is no home, or its path is too long, the others are left.
    expect(sockets({}, { homeDir: '' })).toEqual(rest.slice(0, 2));
    expect(sockets({ BROKER_STATE_DIR: `/${'s'.repeat(94)}` })).toEqual([
      ...rest.slice(0, 2),
      `/${'s'.repeat(94)}/broker.sock`,
    ]);
    expect(sockets({ BROKER_STATE_DIR: `/${'s'.repeat(95)}` })).toEqual(rest.slice(0, 2));
  });

  it('is looked for on macOS in the user’s own temporary folder before /tmp, which everybody shares', () => {
    const userTempFolder = '/var/folders/ab/cd/T/';
    expect(sockets({}, { platform: 'darwin', userTempFolder })).toEqual([
      '/run/user/1000/broker/broker.sock',
      '/var/folders/ab/cd/T/broker/broker.sock',
      '/tmp/broker-1000/broker.sock',
      '/home/u/.local/state/broker/broker.sock',
    ]);
  });

  it('is bound in the first place whose runtime folder is our own', () => {
    const candidates = socketCandidates(inputs({ XDG_RUNTIME_DIR: '/rt' }));
    const chosen = (own: readonly string[]) =>
      firstUsable(candidates, 'linux', { ...folders, isOwn: (folder) => own.includes(folder) }).place.path;
    expect(chosen(['/rt', '/run/user/1000'])).toBe('/rt/broker/broker.sock');
    expect(chosen(['/run/user/1000'])).toBe('/run/user/1000/broker/broker.sock');
    expect(chosen([])).toBe('/tmp/broker-1000/broker.sock');
  });

  it('is bound in the state folder where another user has taken the folder in /tmp, unless that is on the network', () => {
    const candidates = socketCandidates(inputs());
    const taken = { ...folders, isTaken: (folder: string) => folder === '/tmp/broker-1000' };
    expect(firstUsable(candidates, 'linux', taken)).toMatchObject({
      place: { path: '/home/u/.local/state/broker/broker.sock', folder: '/home/u/.local/state/broker' },
      taken: '/tmp/broker-1000',
    });
    expect(() => firstUsable(candidates, 'linux', { ...taken, isOnNetwork: () => true })).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG',
        message: expect.stringContaining('/tmp/broker-1000'),
        remedy: expect.stringContaining('BROKER_SOCKET'),
      }),
    );
  });

  it.each([
    ['linux', 107],
    ['darwin', 103],
  ] as const)('on %s has a path of at most %d bytes', (platform, longest) => {
    const fitting = `/${'é'.repeat(10)}${'s'.repeat(longest - 21)}`;
    expect(Buffer.byteLength(fitting)).toBe(longest);
    expect(() => requireBindable(fitting, platform)).not.toThrow();
    expect(() => sockets({ BROKER_SOCKET: `${fitting}s` }, { platform })).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', exitCode: 78, message: expect.stringContaining(`${fitting}s`) }),
    );
    const runtimeDir = `/${'r'.repeat(100)}`;
    const candidates = socketCandidates(inputs({ XDG_RUNTIME_DIR: runtimeDir }, { platform }));
    expect(() => firstUsable(candidates, platform, { ...folders, isOwn: () => true })).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(runtimeDir) }),
    );
  });
});

it('~ is the home folder at the beginning of a path and nowhere else', () => {
  expect(['~', '~/a', '~b/a', '/a/~', 'a'].map((file) => expandHome(file, '/home/u'))).toEqual([
    '/home/u',
    '/home/u/a',
    '~b/a',
    '/a/~',
    'a',
  ]);
});
