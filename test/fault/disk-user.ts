import { writeFileSync } from 'node:fs';
import { openCache } from '../../src/cache/open.ts';
import { silentLog } from '../../src/platform/log.ts';
import { keyVersion, NOW, secret } from '../fakes/material.ts';

/**
 * Runs in a process whose file size limit or file system is small: fills the disk under the cache, and reports as JSON
 * what was served and what health said, before and after room was made.
 */
const [stateDir = '', filler = '', mode = 'fill'] = process.argv.slice(2);
let now = NOW;
const cache = await openCache({ stateDir, log: silentLog, wallMs: () => now });
const read = (credential: string) => cache.open(credential)?.get('value')?.reveal();
const put = (credential: string, text: string) => {
  const value = secret(text);
  cache.put(keyVersion(credential, { digest: cache.digest(value) }), value);
};

if (mode === 'read') {
  process.stdout.write(JSON.stringify({ before: read('before') }));
  process.exit();
}
put('before', 'sk-before');
if (mode === 'once') process.exit();
if (filler !== '') fill();
const big = 'x'.repeat(16_000);
for (let n = 0; n < 40; n += 1) put(`big${n}`, big);
cache.appendEvents([{ atMs: NOW, kind: 'full', credential: undefined, detail: {} }]);
const whenFull = {
  health: cache.health(),
  before: read('before'),
  big: read('big39')?.length,
  events: cache.events({ limit: 1 }).length,
};

if (filler !== '') writeFileSync(filler, '');
for (let n = 0; n < 40; n += 1) cache.remove(`big${n}`);
put('after', 'sk-after');
now += 6_000;
put('last', 'sk-last');
const afterwards = { health: cache.health(), after: read('after') };
cache.close();
process.stdout.write(JSON.stringify({ whenFull, afterwards }));

function fill(): void {
  try {
    for (let size = 1; ; size += 1) writeFileSync(filler, Buffer.alloc(size * 16_384));
  } catch {
    // Full now, as it should be.
  }
}
