import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeDaemon, GOOD_REPLY, sends } from './fake-daemon.ts';
import { expectFailure, expectKey, helper, run } from './run-helper.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: servers of other users can be played only by root');

/** Users that exist nowhere, so that /tmp/broker-UID belongs to no user. */
const CALLER = 54_321;
const OTHER = 54_322;

let home: string;
let copy: string;

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'broker-key-users-'));
  chmodSync(home, 0o755);
  copy = path.join(home, 'broker-key');
  copyFileSync(helper ?? '', copy);
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

interface OtherServer extends AsyncDisposable {
  readonly said: string[];
}

async function listenAs(uid: number, folder: string): Promise<OtherServer> {
  const script = path.join(import.meta.dirname, 'listen-as.mjs');
  const server = spawn(process.execPath, [script, String(uid), folder], { stdio: ['pipe', 'pipe', 'inherit'] });
  const said: string[] = [];
  server.stdout.setEncoding('utf8').on('data', (text) => said.push(text));
  await Promise.race([
    once(server.stdout, 'data'),
    once(server, 'exit').then(() => Promise.reject(new Error('exited'))),
  ]);
  return {
    said,
    async [Symbol.asyncDispose]() {
      server.stdin.end();
      await once(server, 'exit');
    },
  };
}

/** A folder that the other user may make its own in. */
function ownFolder(uid: number, ...names: string[]): string {
  const folder = path.join(home, ...names);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chownSync(folder, uid, uid);
  return folder;
}

async function runAs(uid: number, env: Record<string, string>) {
  return await run(copy, [], env, { uid, gid: uid, cwd: '/' });
}

describe.skipIf(!isRoot || helper === undefined)('broker-key and other users', () => {
  test('a server of another user behind a socket of one’s own is not asked', async () => {
    const folder = ownFolder(CALLER, 'run');
    const daemon = await FakeDaemon.startIn(folder, sends(GOOD_REPLY));
    chownSync(daemon.socket, CALLER, CALLER);

    expectFailure(await runAs(CALLER, { BROKER_SOCKET: daemon.socket }), 77, /runs as another user and was not asked/);

    expect(daemon.requests).toEqual([]);
    await daemon[Symbol.asyncDispose]();
  });

  test('BROKER_SERVER_UID accepts one other user, and then no longer oneself', async () => {
    const folder = ownFolder(OTHER, 'run');
    await using _ = await listenAs(OTHER, folder);
    const env = { BROKER_SOCKET: path.join(folder, 'broker.sock') };

    expectKey(await runAs(0, { ...env, BROKER_SERVER_UID: String(OTHER) }), `key-of-${OTHER}`);
    expectFailure(await runAs(0, env), 77, /another user/);
    expectFailure(await runAs(0, { ...env, BROKER_SERVER_UID: String(CALLER) }), 77, /another user/);
  });

  test('/tmp/broker-UID is the last place, XDG_RUNTIME_DIR the first', async () => {
    const tmp = `/tmp/broker-${CALLER}`;
    const runtime = ownFolder(CALLER, 'runtime');
    try {
      await using _ = await listenAs(CALLER, tmp);
      expectKey(await runAs(CALLER, {}), `key-of-${CALLER}`);
      expectKey(await runAs(CALLER, { XDG_RUNTIME_DIR: runtime }), `key-of-${CALLER}`);
      // Somebody else's runtime folder, as sudo leaves it in the environment, is passed over.
      expectKey(await runAs(CALLER, { XDG_RUNTIME_DIR: ownFolder(OTHER, 'others') }), `key-of-${CALLER}`);

      // A first place that cannot be trusted is passed over too, for one that can.
      chmodSync(ownFolder(CALLER, 'runtime', 'broker'), 0o755);
      expectKey(await runAs(CALLER, { XDG_RUNTIME_DIR: runtime }), `key-of-${CALLER}`);

      chmodSync(path.join(runtime, 'broker'), 0o700);
      await using daemon = await FakeDaemon.startIn(path.join(runtime, 'broker'), sends(GOOD_REPLY));
      chownSync(daemon.socket, OTHER, OTHER);
      expectKey(await runAs(CALLER, { XDG_RUNTIME_DIR: runtime }), `key-of-${CALLER}`);
    } finally {
      rmSync(tmp, { recursive: true, force: true });
    }
  });

  test('XDG_RUNTIME_DIR does not apply if it is a link or relative', async () => {
    const runtime = ownFolder(CALLER, 'runtime');
    await using _ = await listenAs(CALLER, path.join(runtime, 'broker'));
    symlinkSync('runtime', path.join(home, 'link'));
    lchownSync(path.join(home, 'link'), CALLER, CALLER);

    expectKey(await runAs(CALLER, { XDG_RUNTIME_DIR: runtime }), `key-of-${CALLER}`);
    expectFailure(await runAs(CALLER, { XDG_RUNTIME_DIR: path.join(home, 'link') }), 69, /not running/);
    expectFailure(await runAs(CALLER, { XDG_RUNTIME_DIR: path.relative('/', runtime) }), 69, /not running/);
    expectFailure(await runAs(CALLER, { XDG_RUNTIME_DIR: ownFolder(OTHER, 'others') }), 69, /not running/);
  });

  test('the first refusal is what is reported if no daemon answers', async () => {
    const runtime = ownFolder(CALLER, 'runtime');
    chmodSync(ownFolder(CALLER, 'runtime', 'broker'), 0o755);
    const tmp = `/tmp/broker-${CALLER}`;
    mkdirSync(tmp, { mode: 0o755 });
    try {
      expectFailure(await runAs(CALLER, { XDG_RUNTIME_DIR: runtime }), 77, `chmod 700 '${runtime}/broker'`);
    } finally {
      rmSync(tmp, { recursive: true, force: true });
    }
  });

  test.skipIf(process.platform !== 'linux')(
    'its memory is closed to the same user, and it leaves no core',
    async () => {
      const folder = ownFolder(CALLER, 'run');
      await using server = await listenAs(CALLER, folder);
      expectKey(await runAs(CALLER, { BROKER_SOCKET: path.join(folder, 'broker.sock') }), `key-of-${CALLER}`);
      expect(server.said.join('')).toBe('ready\nowner=0 core=0,0\n');
    },
  );

  test('a /tmp/broker-UID that somebody else made first is refused', async () => {
    const tmp = `/tmp/broker-${CALLER}`;
    mkdirSync(tmp, { mode: 0o700 });
    try {
      chownSync(tmp, OTHER, OTHER);
      expectFailure(await runAs(CALLER, {}), 77, `${tmp} belongs to another user`);
    } finally {
      rmSync(tmp, { recursive: true, force: true });
    }
  });

  test.each(['folder', 'link', 'file'])(
    'a /tmp/broker-UID that somebody else made as a %s keeps nobody from the socket in the state folder',
    async (kind) => {
      const tmp = `/tmp/broker-${CALLER}`;
      const user = ownFolder(CALLER, 'user');
      const state = ownFolder(CALLER, 'user', 'state');
      const env = { HOME: user, BROKER_STATE_DIR: state };
      if (kind === 'folder') mkdirSync(tmp, { mode: 0o700 });
      else if (kind === 'file') writeFileSync(tmp, '');
      else symlinkSync(state, tmp);
      try {
        lchownSync(tmp, OTHER, OTHER);
        expectFailure(await runAs(CALLER, env), 77, tmp);
        await using _ = await listenAs(CALLER, state);
        expectKey(await runAs(CALLER, env), `key-of-${CALLER}`);
        // No socket lies on the network.
        ownFolder(CALLER, 'user', 'state', 'hosts');
        expectFailure(await runAs(CALLER, env), 77, tmp);
      } finally {
        rmSync(tmp, { recursive: true, force: true });
      }
    },
  );
});
