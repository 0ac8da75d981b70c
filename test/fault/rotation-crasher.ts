import { openCache } from '../../src/cache/open.ts';
import { KekFile } from '../../src/crypto/kek-file.ts';
import type { KekHome, KekWriter } from '../../src/crypto/kek-store.ts';
import { silentLog } from '../../src/platform/log.ts';
import { NOW } from '../fakes/material.ts';

/** A process that dies at a chosen moment of a rotation. */
const [stateDir = '', moment = ''] = process.argv.slice(2);
const home = new KekFile(stateDir);
const die = (at: string) => {
  if (at === moment) process.kill(process.pid, 'SIGKILL');
};
const writer: KekWriter = {
  ...home.writer,
  create: (slot) => {
    die('before-create');
    const kek = home.writer.create(slot);
    die('after-create');
    return kek;
  },
  promote: () => {
    die('before-promote');
    home.writer.promote();
    die('after-promote');
  },
};
const mortal: KekHome = {
  kind: home.kind,
  configured: true,
  description: home.description,
  writer,
  read: home.read.bind(home),
};
openCache({ stateDir, log: silentLog, wallMs: () => NOW, kekHomes: [mortal] }).rotateKey();
