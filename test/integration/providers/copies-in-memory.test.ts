import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningDaemon } from '../../fakes/daemon-process.ts';
import { FETCHED, type Fetched, FetchingHome } from '../../fakes/fetching-home.ts';
import { heapSnapshotOptions, stringsOnHeap } from '../../fakes/heap.ts';

const REFRESHES = 200;
const keyOf = (name: Fetched) => `sk-copies-of-${name}-5Jq9TnXw`;

let fetching: FetchingHome;
let snapshots: string;
let daemon: RunningDaemon;

beforeAll(async () => {
  fetching = await FetchingHome.open({
    secretOf: (name) => ({ api_key: keyOf(name) }),
    vaultToken: 'root-of-the-tests',
    awsSecretKey: 'wJalrXUtnFEMI',
  });
  snapshots = join(fetching.home.folder, 'snapshots');
  mkdirSync(snapshots);
  daemon = await fetching.start(heapSnapshotOptions(snapshots));
});
afterAll(() => fetching.close());

/** A promise that a listener kept alive kept the value that it was resolved with. */
test(`${REFRESHES} refreshes leave at most two copies of a key in the memory of the daemon`, async () => {
  await Promise.all(
    FETCHED.map(async (name) => {
      for (let time = 0; time < REFRESHES; time += 1) {
        const { status, body } = await fetching.home.request('POST', `/v1/credentials/${name}/refresh`);
        if (status !== 200) expect.fail(body);
      }
    }),
  );
  const strings = await stringsOnHeap(daemon.pid, snapshots);
  const copies = FETCHED.map((name) => strings.filter((each) => each.includes(keyOf(name))).length);
  expect(Math.max(...copies)).toBeLessThanOrEqual(2);
});
