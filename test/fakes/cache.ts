import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { SecretFields } from '../../src/cache/credential-cache.ts';
import { type OpenCacheOptions, openCache } from '../../src/cache/open-cache.ts';
import type { SqliteCache } from '../../src/cache/sqlite-cache.ts';
import type { KeyVersion } from '../../src/credential/key-version.ts';
import type { Lease, Login } from '../../src/credential/lease.ts';
import { SecretBytes } from '../../src/credential/secret-bytes.ts';
import { silentLog } from '../../src/platform/log.ts';

export const NOW = 1_750_000_000_000;

/** A state folder that goes when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'broker-cache-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A cache that is closed when the test ends. */
export function openTestCache(stateDir: string, options: Partial<OpenCacheOptions> = {}): SqliteCache {
  const cache = openCache({ stateDir, log: silentLog, wallMs: () => NOW, ...options });
  onTestFinished(() => cache.close());
  return cache;
}

export const secret = (text: string): SecretFields => new Map([['value', SecretBytes.fromString(text)]]);

export function keyVersion(credential: string, changes: Partial<KeyVersion> = {}): KeyVersion {
  return {
    credential,
    sourceFingerprint: 'source-1',
    version: '7',
    digest: `digest of ${credential}`,
    issuedAtMs: NOW - 1_000,
    confirmedAtMs: NOW - 500.25,
    expiresAtMs: NOW + 3_600_000,
    expirySource: 'field',
    ttlMs: 900_000,
    lease: undefined,
    isJwt: false,
    ...changes,
  };
}

export const lease = (id: string, changes: Partial<Lease> = {}): Lease => ({
  id,
  issuedAtMs: NOW,
  expiresAtMs: NOW + 60_000,
  renewable: true,
  maxExpiresAtMs: undefined,
  loginId: 'login-1',
  ...changes,
});

export const login = (id: string, changes: Partial<Login> = {}): Login => ({
  id,
  issuedAtMs: NOW,
  expiresAtMs: NOW + 60_000,
  renewable: true,
  maxExpiresAtMs: NOW + 600_000,
  ours: true,
  ...changes,
});

/** Puts a value under its true digest; returns the metadata stored. */
export function store(
  cache: SqliteCache,
  credential: string,
  text: string,
  changes: Partial<KeyVersion> = {},
): KeyVersion {
  const secrets = secret(text);
  const key = keyVersion(credential, { digest: cache.digest(secrets), ...changes });
  cache.put(key, secrets);
  return key;
}

/** What an answer would carry: the value, or undefined. */
export function served(cache: SqliteCache, credential: string): string | undefined {
  return cache.open(credential)?.get('value')?.reveal();
}
