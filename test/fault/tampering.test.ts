import { join } from 'node:path';
import type { Database } from 'better-sqlite3';
import SqliteDatabase from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { SecretBytes } from '../../src/credential/secret.ts';
import { openTestCache, served, store, temporaryFolder } from '../fakes/cache.ts';
import { CollectingLog } from '../fakes/log.ts';
import { lease, login, NOW } from '../fakes/material.ts';

/** Fills a cache with `a` and `b`, lets somebody at the closed database, and opens it again. */
function afterTampering(tamper: (database: Database) => void) {
  const folder = temporaryFolder();
  const cache = openTestCache(folder);
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
  return { cache: openTestCache(folder, { log }), log, folder };
}

describe('a row that somebody changed is not served, and the rest is', () => {
  const COLUMNS = [
    ['source_fingerprint', "'other'"],
    ['version', "'8'"],
    ['version', 'NULL'],
    ['digest', "'other'"],
    ['issued_at_ms', 'issued_at_ms + 1'],
    ['confirmed_at_ms', 'confirmed_at_ms + 86400000'],
    ['expires_at_ms', 'expires_at_ms + 1'],
    ['expires_at_ms', 'NULL'],
    ['expiry_source', "'unknown'"],
    ['ttl_ms', '1e15'],
    ['is_jwt', '1'],
    ['lease_id', "'other'"],
    ['lease_id', 'NULL'],
    ['lease_issued_at_ms', 'lease_issued_at_ms + 1'],
    ['lease_expires_at_ms', 'lease_expires_at_ms * 2'],
    ['lease_renewable', '0'],
    ['lease_max_expires_at_ms', '1e15'],
    ['lease_login_id', "'other'"],
    ['sealed', 'zeroblob(length(sealed))'],
    ['sealed', "x''"],
    ['sealed', "(SELECT sealed FROM keys WHERE credential = 'b')"],
  ] as const;

  it.each(COLUMNS)('%s = %s', (column, value) => {
    const { cache, log } = afterTampering((db) =>
      db.exec(`UPDATE keys SET ${column} = ${value} WHERE credential = 'a'`),
    );
    expect(served(cache, 'a')).toBeUndefined();
    expect(cache.keys().map(({ credential }) => credential)).toEqual(['b']);
    expect(served(cache, 'b')).toBe('sk-b');
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { credential: 'a' } }]);
  });

  it('names swapped', () => {
    const { cache } = afterTampering((db) => {
      db.exec("UPDATE keys SET credential = 'x' WHERE credential = 'a'");
      db.exec("UPDATE keys SET credential = 'a' WHERE credential = 'b'");
      db.exec("UPDATE keys SET credential = 'b' WHERE credential = 'x'");
    });
    expect(['a', 'b', 'x'].map((name) => served(cache, name))).toEqual([undefined, undefined, undefined]);
  });

  it('a row copied to another name', () => {
    const { cache } = afterTampering((db) => {
      db.exec("CREATE TEMP TABLE t AS SELECT * FROM keys WHERE credential = 'a'; UPDATE t SET credential = 'c'");
      db.exec('INSERT INTO keys SELECT * FROM t');
    });
    expect(served(cache, 'c')).toBeUndefined();
    expect(served(cache, 'a')).toBe('sk-a');
  });

  it('a login given to another provider, configuration or life', () => {
    for (const change of [
      "provider = 'q'",
      "fingerprint = 'g'",
      'ours = 0',
      'expires_at_ms = NULL',
      "login_id = '2'",
    ]) {
      const { cache } = afterTampering((db) => db.exec(`UPDATE logins SET ${change}`));
      for (const [provider, print] of [
        ['p', 'f'],
        ['q', 'f'],
        ['p', 'g'],
      ] as const) {
        expect(cache.logins(provider, print)).toEqual([]);
      }
    }
  });

  it('a lease entry or a timeline that nobody authenticated', () => {
    for (const change of [
      "lease_id = 'somebody-elses'",
      "provider = 'q'",
      "state = 'replaced'",
      'expires_at_ms = 1e15',
    ]) {
      expect(afterTampering((db) => db.exec(`UPDATE leases SET ${change}`)).cache.leases()).toEqual([]);
    }
    const { cache } = afterTampering((db) => db.exec('UPDATE timeline SET offset_ms = offset_ms - 86400000'));
    expect(cache.timeline()).toBeUndefined();
    expect(served(cache, 'a')).toBe('sk-a');
  });
});

it('an old row put back with a longer expiry is not served; put back as it was, it keeps its own expiry', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'cache.db');
  const cache = openTestCache(folder);
  store(cache, 'a', 'sk-old', { expiresAtMs: NOW + 1_000 });
  const database = new SqliteDatabase(path);
  database.exec('CREATE TABLE saved AS SELECT * FROM keys');
  store(cache, 'a', 'sk-new', { expiresAtMs: NOW + 9_000 });
  cache.close();

  const putBack = (expiry: number) =>
    database.exec(`DELETE FROM keys; INSERT INTO keys SELECT * FROM saved; UPDATE keys SET expires_at_ms = ${expiry}`);
  putBack(NOW + 9_000);
  const extended = openTestCache(folder);
  expect(served(extended, 'a')).toBeUndefined();
  extended.close();

  putBack(NOW + 1_000);
  database.close();
  const replayed = openTestCache(folder);
  expect(replayed.keys().map((key) => key.expiresAtMs)).toEqual([NOW + 1_000]);
});

it('a lost digest key costs no key: everything is digested anew', () => {
  for (const loss of [
    "DELETE FROM meta WHERE name = 'digest_key'",
    "UPDATE meta SET value = x'00' WHERE name = 'digest_key'",
  ]) {
    const { cache, folder } = afterTampering((db) => db.exec(loss));
    for (const key of cache.keys()) {
      const secrets = cache.open(key.credential);
      expect(secrets && cache.digest(secrets)).toBe(key.digest);
    }
    cache.close();
    const again = openTestCache(folder);
    expect(served(again, 'a')).toBe('sk-a');
    expect(again.keys()).toHaveLength(2);
  }
});

it('a database that forgot or misremembers its key finds it by trying', () => {
  for (const loss of ["DELETE FROM meta WHERE name LIKE 'kek%'", "UPDATE meta SET value = 'x' WHERE name = 'kek_id'"]) {
    const { cache } = afterTampering((db) => db.exec(loss));
    expect(cache.health().persistent).toBe(true);
    expect(served(cache, 'a')).toBe('sk-a');
  }
});
