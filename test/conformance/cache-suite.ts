import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { CredentialCache, LeaseEntry } from '../../src/cache/cache.ts';
import { SecretBytes } from '../../src/credential/secret.ts';
import { keyVersion, lease, login, NOW, secret } from '../fakes/material.ts';

/** What `reopen` gives back is the cache as the next daemon finds it; undefined where nothing outlives the process. */
export interface CacheUnderTest {
  readonly cache: CredentialCache;
  reopen?(): Promise<CredentialCache>;
}

const value = (cache: CredentialCache, credential: string) => cache.open(credential)?.get('value')?.reveal();

/** Every implementation of CredentialCache passes these. `make` is called once per test. */
export function describeCache(name: string, make: () => Promise<CacheUnderTest>): void {
  describe(name, () => {
    it('gives back exactly what was put, value and metadata', async () => {
      const { cache, reopen } = await make();
      const secrets = new Map([
        ['access_key', SecretBytes.fromString('AKIA-canary')],
        ['secret_key', SecretBytes.fromString('')],
        ['value', SecretBytes.from(Buffer.alloc(16_384, 0x41))],
      ]);
      const leased = keyVersion('leased', {
        lease: lease('a/1'),
        version: undefined,
        expiresAtMs: undefined,
        isJwt: true,
      });
      cache.put(leased, secrets);
      cache.put(keyVersion('plain'), secret('x'));
      for (const one of [cache, await reopen?.()]) {
        if (one === undefined) continue;
        expect(one.keys().toSorted((a, b) => a.credential.localeCompare(b.credential))).toEqual([
          leased,
          keyVersion('plain'),
        ]);
        const opened = one.open('leased');
        expect([...(opened ?? [])].map(([field, bytes]) => [field, bytes.reveal()])).toEqual(
          [...secrets].map(([field, bytes]) => [field, bytes.reveal()]),
        );
      }
    });

    it('copies: neither wiping what was put nor what was opened touches what is stored', async () => {
      const { cache } = await make();
      const put = secret('sk-live');
      cache.put(keyVersion('a'), put);
      put.get('value')?.wipe();
      cache.open('a')?.get('value')?.wipe();
      expect(value(cache, 'a')).toBe('sk-live');
    });

    it('replaces, removes, and knows nothing of what was never there', async () => {
      const { cache, reopen } = await make();
      cache.put(keyVersion('a'), secret('old'));
      cache.put(keyVersion('a', { version: '8' }), secret('new'));
      cache.put(keyVersion('b'), secret('b'));
      cache.remove('b');
      cache.remove('never');
      for (const one of [cache, await reopen?.()]) {
        if (one === undefined) continue;
        expect(value(one, 'a')).toBe('new');
        expect(one.keys().map((key) => key.version)).toEqual(['8']);
        expect(one.open('b')).toBeUndefined();
        expect(one.open('never')).toBeUndefined();
      }
    });

    it('touches metadata only for the value it was made for', async () => {
      const { cache, reopen } = await make();
      cache.put(keyVersion('a', { digest: 'one' }), secret('sk'));
      cache.touch(keyVersion('a', { digest: 'one', confirmedAtMs: NOW + 1 }));
      cache.touch(keyVersion('a', { digest: 'two', confirmedAtMs: NOW + 2 }));
      cache.touch(keyVersion('absent', { digest: 'one' }));
      for (const one of [cache, await reopen?.()]) {
        if (one === undefined) continue;
        expect(one.keys().map((key) => key.confirmedAtMs)).toEqual([NOW + 1]);
        expect(value(one, 'a')).toBe('sk');
      }
    });

    it('digests a value alike whatever the order of its fields, and differently when anything differs', async () => {
      const { cache, reopen } = await make();
      const fields = (pairs: [string, string][]) =>
        cache.digest(new Map(pairs.map(([field, text]) => [field, SecretBytes.fromString(text)])));
      expect(
        fields([
          ['a', '1'],
          ['b', '2'],
        ]),
      ).toBe(
        fields([
          ['b', '2'],
          ['a', '1'],
        ]),
      );
      const different = [
        fields([['a', '1']]),
        fields([['a', '12']]),
        fields([['a1', '2']]),
        fields([
          ['a', '1'],
          ['b', ''],
        ]),
      ];
      expect(new Set(different).size).toBe(different.length);
      const before = cache.digest(secret('v'));
      if (reopen !== undefined) expect((await reopen()).digest(secret('v'))).toBe(before);
    });

    it('keeps rejected marks per credential until they are pruned', async () => {
      const { cache, reopen } = await make();
      cache.markRejected('a', 'd1', 100);
      cache.markRejected('a', 'd2', 200);
      cache.markRejected('b', 'd1', 100);
      expect(cache.rejectedMarks('a').toSorted()).toEqual(['d1', 'd2']);
      cache.pruneRejected(200);
      for (const one of [cache, await reopen?.()]) {
        expect(one?.rejectedMarks('a') ?? ['d2']).toEqual(['d2']);
        expect(one?.rejectedMarks('b') ?? []).toEqual([]);
      }
    });

    it('keeps the lease journal by provider and lease', async () => {
      const { cache, reopen } = await make();
      const live: LeaseEntry = {
        provider: 'p',
        credential: 'a',
        lease: lease('1'),
        state: 'live',
        replacedAtMs: undefined,
      };
      const other = { ...live, provider: 'q' };
      const replaced: LeaseEntry = { ...live, state: 'replaced', replacedAtMs: NOW };
      cache.journalLease(live);
      cache.journalLease(other);
      cache.journalLease({ ...live, lease: lease('2', { maxExpiresAtMs: NOW, loginId: undefined }) });
      cache.journalLease(replaced);
      cache.forgetLease('p', '2');
      for (const one of [cache, await reopen?.()]) {
        if (one === undefined) continue;
        expect(one.leases()).toHaveLength(2);
        expect(one.leases()).toEqual(expect.arrayContaining([replaced, other]));
      }
    });

    it('hands out logins only to the configuration that made them', async () => {
      const { cache, reopen } = await make();
      const token = SecretBytes.fromString('hvs.canary');
      cache.saveLogin('p', 'f1', login('1'), token);
      cache.saveLogin('p', 'f1', login('2', { expiresAtMs: undefined, maxExpiresAtMs: undefined }), token);
      cache.saveLogin('p', 'f1', login('1', { renewable: false }), SecretBytes.fromString('hvs.newer'));
      token.wipe();
      cache.removeLogin('p', '2');
      for (const one of [cache, await reopen?.()]) {
        if (one === undefined) continue;
        expect(one.logins('p', 'f2')).toEqual([]);
        expect(one.logins('q', 'f1')).toEqual([]);
        const [stored, ...rest] = one.logins('p', 'f1');
        expect(rest).toEqual([]);
        expect(stored?.login).toEqual(login('1', { renewable: false }));
        expect(stored?.token.reveal()).toBe('hvs.newer');
      }
    });

    it('lists events newest last, follows by id and never repeats an id', async () => {
      const { cache, reopen } = await make();
      const event = (n: number) => ({
        atMs: NOW + n,
        kind: 'served',
        credential: n % 2 ? 'a' : undefined,
        detail: { n },
      });
      cache.appendEvents([event(1), event(2)]);
      cache.appendEvents([event(3)]);
      cache.appendEvents([]);
      const all = cache.events({ limit: 10 });
      expect(all.map(({ id: _, ...rest }) => rest)).toEqual([event(1), event(2), event(3)]);
      expect(cache.events({ limit: 2 })).toEqual(all.slice(1));
      expect(cache.events({ limit: 0 })).toEqual([]);
      expect(cache.events({ afterId: all[0]?.id ?? -1, limit: 1 })).toEqual([all[1]]);
      const next = await reopen?.();
      if (next === undefined) return;
      next.appendEvents([event(4)]);
      expect(next.events({ afterId: all[2]?.id ?? -1, limit: 9 }).map(({ detail }) => detail)).toEqual([{ n: 4 }]);
    });

    it('remembers the timeline', async () => {
      const { cache, reopen } = await make();
      expect(cache.timeline()).toBeUndefined();
      cache.saveTimeline({ bootId: 'b', offsetMs: 12.5, lastSeenMs: NOW });
      cache.saveTimeline({ bootId: 'b', offsetMs: 12.5, lastSeenMs: NOW + 1 });
      const expected = { bootId: 'b', offsetMs: 12.5, lastSeenMs: NOW + 1 };
      expect(cache.timeline()).toEqual(expected);
      expect((await reopen?.())?.timeline() ?? expected).toEqual(expected);
    });

    it('shows no secret when it is printed', async () => {
      const { cache } = await make();
      cache.put(keyVersion('a'), secret('sk-canary'));
      const shown = `${inspect(cache, { depth: 9, showHidden: true })}${JSON.stringify(cache)}${inspect(cache.open('a'))}`;
      expect(shown).not.toContain('sk-canary');
    });
  });
}
