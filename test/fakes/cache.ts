import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type OpenCacheOptions, openCache } from '../../src/cache/open.ts';
import type { SqliteCache } from '../../src/cache/sqlite-cache.ts';
import type { KeyVersion } from '../../src/credential/key.ts';
import { silentLog } from '../../src/platform/log.ts';
import { keyVersion, NOW, secret } from './material.ts';

/** A state folder that goes when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'broker-cache-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const open = new Map<string, SqliteCache>();

/** A cache that is closed when the test ends, or opened again: a process that had it open before is taken to have died. */
export async function openTestCache(stateDir: string, options: Partial<OpenCacheOptions> = {}): Promise<SqliteCache> {
  open.get(stateDir)?.close();
  const cache = await openCache({ stateDir, log: silentLog, wallMs: () => NOW, ...options });
  open.set(stateDir, cache);
  onTestFinished(() => {
    cache.close();
    open.delete(stateDir);
  });
  return cache;
}

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
