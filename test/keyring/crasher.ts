import { openCache } from '../../src/cache/open.ts';
import { KekFile } from '../../src/crypto/kek-file.ts';
import { KekKeyring } from '../../src/crypto/kek-keyring.ts';
import { silentLog } from '../../src/platform/log.ts';
import { NOW } from '../fakes/material.ts';
import { mortal } from '../fakes/mortal-store.ts';
import { askAt } from './open-at.ts';

/** A process that dies at a chosen moment of moving the key: `before STORE NAME` or `after STORE NAME`. */
const [stateDir = '', to, moment = ''] = process.argv.slice(2);
const momentOf = (kind: string) => (moment.includes(` ${kind} `) ? moment.replace(`${kind} `, '') : '');
const keyring = new KekKeyring({
  ask: askAt({ env: process.env as Record<string, string> }),
  platform: 'linux',
  isForNewKeys: false,
});
const kekStores = [mortal(keyring, momentOf('keyring')), mortal(new KekFile(stateDir), momentOf('file'))];
const cache = await openCache({ stateDir, log: silentLog, wallMs: () => NOW, kekStores });
await cache.rotateKey({ to });
