import { openCache } from '../../src/cache/open.ts';
import { silentLog } from '../../src/platform/log.ts';
import { keyVersion, lease, login, NOW, secret } from '../fakes/material.ts';

/** A process that writes to the cache until it is killed, and says so once it has begun. */
const [stateDir = '', start = '0'] = process.argv.slice(2);
const cache = await openCache({ stateDir, log: silentLog, wallMs: () => NOW });
for (let round = Number(start); ; round += 1) {
  const credential = `c${round % 7}`;
  const value = secret(`sk-${credential}-${round}`);
  const granted = lease(`lease-${round}`);
  cache.journalLease({ provider: 'p', credential, lease: granted, state: 'live', replacedAtMs: undefined });
  cache.put(keyVersion(credential, { version: String(round), lease: granted, digest: cache.digest(value) }), value);
  if (round >= 7) cache.forgetLease('p', `lease-${round - 7}`);
  cache.saveLogin('p', 'f', login('1', { issuedAtMs: round }), value.get('value') ?? fail());
  cache.appendEvents([{ atMs: NOW + round, kind: 'refreshed', credential, detail: { round } }]);
  if (round % 50 === 49) await cache.rotateKey();
  if (round === Number(start) + 3) process.stdout.write('begun\n');
}

function fail(): never {
  throw new Error('no value');
}
