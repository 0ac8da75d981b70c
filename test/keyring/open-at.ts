import { type OpenCacheOptions, openCache } from '../../src/cache/open.ts';
import type { SqliteCache } from '../../src/cache/sqlite-cache.ts';
import { SystemClock } from '../../src/platform/clock.ts';
import { keyringOf } from '../../src/platform/keyring-child.ts';
import { silentLog } from '../../src/platform/log.ts';
import { NOW } from '../fakes/material.ts';
import type { Desk } from './desk.ts';

export const askAt = ({ env }: Pick<Desk, 'env'>) => keyringOf({ env, platform: 'linux', clock: new SystemClock() });

/** The cache as a daemon at this desk opens it. */
export function openAt(
  desk: Pick<Desk, 'env'>,
  stateDir: string,
  options: Partial<OpenCacheOptions> = {},
): Promise<SqliteCache> {
  return openCache({ stateDir, log: silentLog, wallMs: () => NOW, askKeyring: askAt(desk), ...options });
}
