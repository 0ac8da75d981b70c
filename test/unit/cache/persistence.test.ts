import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeEnvironment } from '../../../src/cache/recovery.ts';
import { KekKeyring } from '../../../src/crypto/kek-keyring.ts';
import { type AskKeyring, type KeyringReply, type TroubleKind, trouble } from '../../../src/platform/keyring.ts';
import { openTestCache, served, store, temporaryFolder } from '../../fakes/cache.ts';
import { secret } from '../../fakes/material.ts';

const MINUTE = 60_000;

/** A keyring that is open until it is told to refuse, and how often it was asked. */
class KeyringDouble {
  refusal: KeyringReply | undefined;
  asked = 0;
  readonly #items = new Map<string, string>();

  readonly ask: AskKeyring = async ({ action, account, secret = '' }) => {
    this.asked += 1;
    if (this.refusal !== undefined) return this.refusal;
    if (action === 'store') this.#items.set(account, secret);
    const found = this.#items.get(account);
    if (action !== 'read') return { outcome: 'done' };
    return found === undefined ? { outcome: 'absent' } : { outcome: 'found', secret: found };
  };
}

/** A cache whose key is in a keyring that refuses in this way since the last stop. */
async function refused(why: TroubleKind, platform: NodeJS.Platform, wallMs = () => 0) {
  const folder = temporaryFolder();
  const keyring = new KeyringDouble();
  const kekStores = [new KekKeyring({ ask: keyring.ask, platform, isForNewKeys: true })];
  const first = await openTestCache(folder, { kekStores });
  store(first, 'a', 'sk-a');
  first.close();
  keyring.refusal = trouble(why);
  const cache = await openTestCache(folder, { kekStores, wallMs });
  expect(cache.health().persistent).toBe(false);
  return { keyring, cache };
}

/** How often it is asked in each of the first hours, of a look a minute. */
async function asksPerHour(why: TroubleKind, platform: NodeJS.Platform): Promise<number[]> {
  let now = 0;
  const { keyring, cache } = await refused(why, platform, () => now);
  // The start asked, too.
  keyring.asked = 1;
  const hours: number[] = [];
  for (let hour = 1; hour <= 4; hour += 1) {
    for (now += MINUTE; now < hour * 60 * MINUTE; now += MINUTE) await cache.reach();
    hours.push(keyring.asked);
    keyring.asked = 0;
    await cache.reach();
  }
  return hours;
}

it('a keyring that was found locked without prompting is looked at every time', async () => {
  expect(await asksPerHour('locked', 'linux')).toEqual([60, 60, 60, 60]);
});

it('one that may have put a dialogue before somebody is asked less and less, once an hour in the end', async () => {
  expect(await asksPerHour('silent', 'linux')).toEqual([6, 1, 1, 1]);
  expect(await asksPerHour('locked', 'darwin')).toEqual([6, 1, 1, 1]);
});

it('a keyring that is to keep the new key and refuses says where else it could go', async () => {
  const keyring = new KeyringDouble();
  keyring.refusal = trouble('locked');
  const kekStores = [new KekKeyring({ ask: keyring.ask, platform: 'linux', isForNewKeys: true })];
  const cache = await openTestCache(temporaryFolder(), { kekStores });
  expect(cache.health()).toMatchObject({
    persistent: false,
    problem: 'the Secret Service is locked',
    remedy: expect.stringMatching(/^Unlock it.*; or choose another home: \[daemon\] key_home = "file"$/),
  });
});

it('a person who asks for it does not wait', async () => {
  const { keyring, cache } = await refused('silent', 'linux');
  keyring.refusal = undefined;
  expect(await cache.reach()).toBe(false);
  expect(await cache.rotateKey({ discard: true })).toMatchObject({ rewrapped: 1, setAside: null });
  expect(served(cache, 'a')).toBe('sk-a');
});

it('what was removed or rejected while the keyring was locked stays so when it is open again', async () => {
  const { keyring, cache } = await refused('locked', 'linux');
  store(cache, 'b', 'sk-b');
  cache.markRejected('b', cache.digest(cache.open('b') ?? new Map()), 1);
  cache.remove('a');
  keyring.refusal = undefined;
  expect(await cache.reach()).toBe(true);
  expect([served(cache, 'a'), served(cache, 'b')]).toEqual([undefined, 'sk-b']);
  expect(cache.rejectedMarks('b')).toEqual([cache.digest(cache.open('b') ?? new Map())]);
});

it('a new database takes over the digest key of memory: a rejected value stays rejected, wherever it is', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'cache.db'), { mode: 0o700 });
  const cache = await openTestCache(folder);
  const rejected = cache.digest(secret('sk-rejected'));
  cache.markRejected('a', rejected, 1);
  rmdirSync(join(folder, 'cache.db'));
  expect(await cache.reach()).toBe(true);
  cache.close();
  const next = await openTestCache(folder);
  expect([next.digest(secret('sk-rejected')), next.rejectedMarks('a')]).toEqual([rejected, [rejected]]);
});

it('what is written while the key is looked for is not lost', async () => {
  const { keyring, cache } = await refused('locked', 'linux');
  keyring.refusal = undefined;
  const reached = cache.reach();
  store(cache, 'b', 'sk-b');
  expect(await reached).toBe(true);
  expect([served(cache, 'a'), served(cache, 'b')]).toEqual(['sk-a', 'sk-b']);
});

it('a library that does not load is not a full disk', () => {
  const loader =
    "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.33' not found (required by /p/better-sqlite3/prebuilds/linux-x64.node)";
  const error = Object.assign(new Error(loader), { code: 'ERR_DLOPEN_FAILED' });
  expect(describeEnvironment('/state/cache.db', error)).toEqual({
    problem: `keys are kept in memory only, because SQLite does not load: ${loader}`,
    remedy:
      'Use a system with glibc 2.34 or newer, or build better-sqlite3 on this one: broker help prebuilds says how',
  });
  const absent = Object.assign(new Error("Cannot find module 'x'\nRequire stack:\n- /p"), { code: 'MODULE_NOT_FOUND' });
  expect(describeEnvironment('/state/cache.db', absent)).toEqual({
    problem: "keys are kept in memory only, because SQLite does not load: Cannot find module 'x'",
    remedy: expect.stringContaining('npm install -g apikey-broker'),
  });
});
