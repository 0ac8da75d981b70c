import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { openCache } from '../../src/cache/open.ts';
import { silentLog } from '../../src/platform/log.ts';
import { keyVersion, NOW, secret } from '../fakes/material.ts';

/** Runs as a user to whom modes of files mean something: reports as JSON what the cache says while `name` cannot be written, and after. */
const [stateDir = '', name = ''] = process.argv.slice(2);
const open = () => openCache({ stateDir, log: silentLog, wallMs: () => NOW });
const put = (cache: Awaited<ReturnType<typeof open>>, credential: string) => {
  const value = secret(`sk-${credential}`);
  cache.put(keyVersion(credential, { digest: cache.digest(value) }), value);
};

const before = await open();
put(before, 'before');
before.close();
const file = join(stateDir, name);
if (name !== 'cache.db') closeSync(openSync(file, 'w', 0o600));
chmodSync(file, 0o400);

const cache = await open();
put(cache, 'meanwhile');
const { problem, remedy, persistent } = cache.health();
const tooEarly = await cache.reachIfChanged();
if (existsSync(file)) chmodSync(file, 0o600);
await cache.reachIfChanged();
const fixed = cache.health();
cache.close();
const next = await open();
const keys = next.keys().map(({ credential }) => credential);
next.close();
process.stdout.write(JSON.stringify({ problem, remedy, persistent, tooEarly, fixed: fixed.persistent, keys }));
