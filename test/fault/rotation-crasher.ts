import { openCache } from '../../src/cache/open.ts';
import { KekFile } from '../../src/crypto/kek-file.ts';
import { silentLog } from '../../src/platform/log.ts';
import { NOW } from '../fakes/material.ts';
import { mortal } from '../fakes/mortal-store.ts';

/** A process that dies at a chosen moment of a rotation: `before NAME` or `after NAME` of what it does to the key file. */
const [stateDir = '', moment = ''] = process.argv.slice(2);
const kekStores = [mortal(new KekFile(stateDir), moment)];
const cache = await openCache({ stateDir, log: silentLog, wallMs: () => NOW, kekStores });
await cache.rotateKey();
