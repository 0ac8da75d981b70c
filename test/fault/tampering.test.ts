import { join } from 'node:path';
import type { Database } from 'better-sqlite3';
import SqliteDatabase from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { SecretBytes } from '../../src/credential/secret.ts';
import { openTestCache, served, store, temporaryFolder } from '../fakes/cache.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { lease, login, NOW } from '../fakes/material.ts';

/** Fills a cache with `a` and `b`, lets somebody at the closed database, and opens it again. */
async function afterTampering(tamper: (database: Database) => void) {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  store(cache, 'a', 'sk-a', { lease: lease('la') });
  store(cache, 'b', 'sk-b', { expiresAtMs: undefined, expirySource: 'unknown', version: undefined });
  cache.journalLease({ provider: 'p', credential: 'a', lease: lease('la'), state: 'live', replacedAtMs: undefined });
  cache.saveLogin('p', 'f', login('1'), SecretBytes.fromString('hvs.a'));
  cache.saveTimeline({ bootId: 'boot', offsetMs: 10, lastSeenMs: NOW });
  cache.close();
  const database = new SqliteDatabase(join(folder, 'cache.db'));
  tamper(database);
  database.close();
  const log = new CollectingLog();
  return { cache: await openTestCache(folder, { log }), log, folder };
}

const KEY_A = "kind = 'key' AND id = 'a'";

describe('a row that somebody changed is not served, and the rest is', () => {
  const FACTS = [
    ['credential', "'b'"],
    ['sourceFingerprint', "'other'"],
    ['version', "'8'"],
    ['version', 'NULL'],
    ['digest', "'other'"],
    ['issuedAtMs', '1'],
    ['confirmedAtMs', '1e15'],
    ['expiresAtMs', '1e15'],
    ['expiresAtMs', 'NULL'],
    ['expirySource', "'unknown'"],
    ['ttlMs', '1e15'],
    ['isJwt', '1'],
    ['lease.id', "'other'"],
    ['lease', 'NULL'],
    ['lease.issuedAtMs', '1'],
    ['lease.expiresAtMs', '1e15'],
    ['lease.renewable', '0'],
    ['lease.maxExpiresAtMs', '1e15'],
    ['lease.loginId', "'other'"],
  ].map(([path, value]) => `facts = json_set(facts, '$.${path}', ${value})`);
  const ROWS = [
    // The same facts in other words.
    "facts = facts || ' '",
    "facts = (SELECT facts FROM records WHERE kind = 'key' AND id = 'b')",
    'sealed = zeroblob(length(sealed))',
    "sealed = x''",
    "sealed = (SELECT sealed FROM records WHERE kind = 'key' AND id = 'b')",
    "facts = (SELECT facts FROM records WHERE kind = 'lease'), sealed = (SELECT sealed FROM records WHERE kind = 'lease')",
  ];

  it.each([...FACTS, ...ROWS])('%s', async (change) => {
    const { cache, log } = await afterTampering((db) => db.exec(`UPDATE records SET ${change} WHERE ${KEY_A}`));
    expect(served(cache, 'a')).toBeUndefined();
    expect(cache.keys().map(({ credential }) => credential)).toEqual(['b']);
    expect(served(cache, 'b')).toBe('sk-b');
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { credential: 'a' } }]);
  });

  it('names swapped, with the facts that go with them or without', async () => {
    for (const facts of ['facts', "json_set(facts, '$.credential', id)"]) {
      const { cache } = await afterTampering((db) => {
        db.exec(`UPDATE records SET id = 'x' WHERE ${KEY_A}`);
        db.exec("UPDATE records SET id = 'a' WHERE kind = 'key' AND id = 'b'");
        db.exec("UPDATE records SET id = 'b' WHERE kind = 'key' AND id = 'x'");
        db.exec(`UPDATE records SET facts = ${facts} WHERE kind = 'key'`);
      });
      expect(['a', 'b', 'x'].map((name) => served(cache, name))).toEqual([undefined, undefined, undefined]);
    }
  });

  it('a row copied to another name', async () => {
    const { cache } = await afterTampering((db) => {
      db.exec(`INSERT INTO records SELECT kind, 'c', facts, sealed FROM records WHERE ${KEY_A}`);
    });
    expect(served(cache, 'c')).toBeUndefined();
    expect(served(cache, 'a')).toBe('sk-a');
  });

  it('a row that became one of another kind', async () => {
    for (const kind of ['login', 'lease', 'rejected', 'timeline', 'digest-key', 'unheard-of']) {
      const { cache, log } = await afterTampering((db) =>
        db.exec(`UPDATE records SET kind = '${kind}' WHERE ${KEY_A}`),
      );
      expect(cache.keys().map(({ credential }) => credential)).toEqual(['b']);
      expect([cache.logins('p', 'f').length, cache.leases().length]).toEqual([1, 1]);
      // A second digest key that is not one is passed over: the first authenticates.
      expect(log.lines.length).toBe(kind === 'digest-key' ? 0 : 1);
    }
  });

  it('a login given to another provider, configuration or life', async () => {
    for (const change of [
      "facts = json_set(facts, '$.provider', 'q')",
      "facts = json_set(facts, '$.fingerprint', 'g')",
      "facts = json_set(facts, '$.login.ours', 0)",
      "facts = json_remove(facts, '$.login.expiresAtMs')",
      "facts = json_set(facts, '$.login.id', '2')",
      "id = 'p' || char(10) || '2'",
    ]) {
      const { cache } = await afterTampering((db) => db.exec(`UPDATE records SET ${change} WHERE kind = 'login'`));
      for (const [provider, print] of [
        ['p', 'f'],
        ['q', 'f'],
        ['p', 'g'],
      ] as const) {
        expect(cache.logins(provider, print)).toEqual([]);
      }
    }
  });

  it('a lease entry, a mark or a timeline that nobody authenticated', async () => {
    for (const [path, value] of [
      ['lease.id', "'somebody-elses'"],
      ['provider', "'q'"],
      ['state', "'replaced'"],
      ['lease.expiresAtMs', '1e15'],
    ]) {
      const change = `UPDATE records SET facts = json_set(facts, '$.${path}', ${value}) WHERE kind = 'lease'`;
      const { cache } = await afterTampering((db) => db.exec(change));
      expect(cache.leases()).toEqual([]);
    }
    const { cache } = await afterTampering((db) =>
      db.exec("UPDATE records SET facts = json_set(facts, '$.offsetMs', 11) WHERE kind = 'timeline'"),
    );
    expect(cache.timeline()).toBeUndefined();
    expect(served(cache, 'a')).toBe('sk-a');
    const forged = await afterTampering((db) =>
      db.exec(`INSERT INTO records SELECT 'rejected', 'a' || char(10) || 'd', '{"credential":"a","digest":"d","atMs":1}',
        sealed FROM records WHERE kind = 'lease'`),
    );
    expect(forged.cache.rejectedMarks('a')).toEqual([]);
  });
});

it('an old row put back with a longer expiry is not served; put back as it was, it keeps its own expiry', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'cache.db');
  const inDatabase = (sql: string) => {
    const database = new SqliteDatabase(path);
    database.exec(sql);
    database.close();
  };
  for (const [value, expiresAtMs] of [
    ['sk-old', NOW + 1_000],
    ['sk-new', NOW + 9_000],
  ] as const) {
    const cache = await openTestCache(folder);
    store(cache, 'a', value, { expiresAtMs });
    cache.close();
    inDatabase(`CREATE TABLE IF NOT EXISTS saved AS SELECT * FROM records WHERE ${KEY_A}`);
  }

  const putBack = (facts: string) =>
    inDatabase(`DELETE FROM records WHERE ${KEY_A}; INSERT INTO records SELECT kind, id, ${facts}, sealed FROM saved`);
  putBack(`replace(facts, '${NOW + 1_000}', '${NOW + 9_000}')`);
  const extended = await openTestCache(folder);
  expect(served(extended, 'a')).toBeUndefined();
  extended.close();

  putBack('facts');
  const replayed = await openTestCache(folder);
  expect(replayed.keys().map((key) => key.expiresAtMs)).toEqual([NOW + 1_000]);
  expect(served(replayed, 'a')).toBe('sk-old');
});

it('a lost digest key costs no key: everything is digested again', async () => {
  for (const loss of [
    "DELETE FROM records WHERE kind = 'digest-key'",
    "UPDATE records SET sealed = x'00' WHERE kind = 'digest-key'",
  ]) {
    const { cache, folder } = await afterTampering((db) => db.exec(loss));
    for (const key of cache.keys()) {
      const secrets = cache.open(key.credential);
      expect(secrets && cache.digest(secrets)).toBe(key.digest);
    }
    cache.close();
    const again = await openTestCache(folder);
    expect(served(again, 'a')).toBe('sk-a');
    expect(again.keys()).toHaveLength(2);
  }
});

it('a database that forgot or misremembers its key finds it by trying', async () => {
  for (const loss of ['DELETE FROM keks', "UPDATE keks SET id = 'x'", "UPDATE keks SET home = 'sock-drawer'"]) {
    const { cache } = await afterTampering((db) => db.exec(loss));
    expect(cache.health().persistent).toBe(true);
    expect(served(cache, 'a')).toBe('sk-a');
  }
});
