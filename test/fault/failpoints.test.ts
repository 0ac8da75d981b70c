import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Failpoint } from '../../src/platform/failpoints.ts';
import { BrokerHome, type RunningDaemon } from '../fakes/daemon-process.ts';
import { until } from '../fakes/processes.ts';

const HOOKS = fileURLToPath(new URL('../fixtures/failpoints.mjs', import.meta.url));
const KEY = { code: 0, stdout: 'sk-failpoint-0123456789\n', stderr: '' };

let home: BrokerHome;

beforeEach(() => {
  home = new BrokerHome('');
  home.configure(`
default = "a"
[providers.x]
type = "exec"
[credentials.a]
provider = "x"
command = ["/bin/sh", "-c", "echo ran >> ${home.folder}/runs; echo sk-failpoint-0123456789"]
`);
});
afterEach(() => home.close());

const armed = () => join(home.folder, 'armed');
const state = (name: string) => join(home.stateDir, name);

function start(point: Failpoint, what: 'kill' | 'throw'): Promise<RunningDaemon> {
  return home.start({ FAILPOINT: `${point}=${what}@${armed()}` }, { nodeArgs: ['--import', HOOKS] });
}

async function isRight(): Promise<boolean> {
  const { cache, places } = (await home.status()).daemon;
  return cache.persistent && places.every((place) => place.state === 'restored');
}

const removeDatabase = () => rmSync(state('cache.db'));
const replaceDatabase = () => {
  writeFileSync(state('other'), 'somebody else', { mode: 0o600 });
  renameSync(state('other'), state('cache.db'));
};
const removeKey = () => rmSync(state('kek'));
const removeSocket = () => rmSync(home.socket);

it.each<[Failpoint, string, () => void]>([
  ['database.gone', 'the database', removeDatabase],
  ['database.written', 'the database', removeDatabase],
  ['database.committed', 'the database', removeDatabase],
  ['database.half-aside', 'a database in place of its own', replaceDatabase],
  ['file.written', 'the key file', removeKey],
  ['file.renamed', 'the key file', removeKey],
  ['socket.gone', 'the socket', removeSocket],
  ['socket.bound', 'the socket', removeSocket],
])('killed at %s while it puts %s right, the next daemon finds nothing that it cannot use', async (point, _, harm) => {
  const daemon = await start(point, 'kill');
  expect(await home.key()).toEqual(KEY);
  // What follows from that answer is on the disk.
  await until(async () => (await home.get('/v1/events')).body.includes('"served"'));
  writeFileSync(armed(), '');
  harm();
  await daemon.ended;
  await home.start();
  expect(await home.key()).toEqual(KEY);
  const { cache } = (await home.status()).daemon;
  // The key file was lost with the process that knew the key: what it sealed waits for a person.
  if (point !== 'file.written') expect(cache.persistent).toBe(true);
});

it.each<[Failpoint, () => void]>([
  ['database.gone', removeDatabase],
  ['database.written', removeDatabase],
  ['file.written', removeKey],
  ['socket.gone', removeSocket],
])('what fails at %s is told, tried again, and costs no key', async (point, harm) => {
  const daemon = await start(point, 'throw');
  expect(await home.key()).toEqual(KEY);
  writeFileSync(armed(), '');
  harm();
  await daemon.whenLogged('cannot ');
  rmSync(armed());
  // Something happens in the folder: whatever was in the way is gone.
  writeFileSync(point.startsWith('socket') ? join(home.folder, 'run', 'x') : state('x'), '', { mode: 0o600 });
  await until(async () => (await home.key()).code === 0 && (await isRight()));
  expect(readFileSync(join(home.folder, 'runs'), 'utf8').split('\n').length - 1).toBe(1);
});
