import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BrokerHome, RunningDaemon } from '../fakes/daemon-process.ts';
import { FETCHED, FetchingHome } from '../fakes/fetching-home.ts';
import { type Sightings, searchMemory, total } from '../fakes/process-memory.ts';

const ANSWERS = 1_000;
const REFRESHES = 200;

const secretOf = (name: string) => ({ api_key: `sk-memory-${name}-5Jq9TnXw7Rk`, other: `other-${name}-8RkLp2Zd4VbN` });
const TOKENS = {
  handedIn: 'hvs.memory-handed-in-3VbYt7Ec9Qs',
  ofAPerson: 'hvs.memory-of-a-person-6HgMs4Au2Lk',
  ofAws: 'wJalrXUtnFEMI/memory/4ZpQw8Ns1Tc',
};

let fetching: FetchingHome;
let home: BrokerHome;
let daemon: RunningDaemon;

/** Root alone can read the memory of a daemon that is not dumpable, and /proc is Linux's. */
const canRead = process.platform === 'linux' && process.getuid?.() === 0;

beforeAll(async () => {
  if (!canRead) return;
  fetching = await FetchingHome.open({
    secretOf,
    vaultToken: TOKENS.handedIn,
    awsSecretKey: TOKENS.ofAws,
    more: (address) => `[providers.person]
type = "vault"
address = "${address}"
auth = { method = "userpass", username = "ada" }
[credentials.person]
provider = "person"
path = "secret/data/claude"
field = "api_key"
`,
  });
  home = fetching.home;
  fetching.vault.tokens.create({ policies: ['root'], ttlMs: 3_600_000 }, 'auth/token/create', TOKENS.ofAPerson);
  daemon = await fetching.start();
});

afterAll(() => fetching?.close());

/** As the helper asks, without starting one. */
function askAsHelper(name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(home.socket);
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.once('close', () => resolve(answer));
    socket.once('error', reject);
    const headers = ['Host: broker', 'Accept: text/plain', 'Connection: close', 'User-Agent: broker-key/0.1.0'];
    socket.write(`GET /v1/credentials/${name}/key HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
  });
}

async function refresh(name: string): Promise<void> {
  const { status, body } = await home.post(`/v1/credentials/${name}/refresh`);
  if (status !== 200) expect.fail(body);
}

const readKek = () => readFileSync(join(home.stateDir, 'kek'));

test.runIf(canRead)('what is not in use leaves the memory of the daemon', async () => {
  for (const name of FETCHED) {
    for (let time = 0; time < ANSWERS / FETCHED.length; time += 1) {
      expect(await askAsHelper(name)).toContain(secretOf(name).api_key);
      expect((await home.get(`/v1/credentials/${name}/key`)).status).toBe(200);
    }
  }
  await Promise.all(
    FETCHED.map(async (name) => {
      for (let time = 0; time < REFRESHES; time += 1) await refresh(name);
    }),
  );
  expect((await home.post('/v1/providers/person/login', TOKENS.ofAPerson)).status).toBe(200);
  await refresh('person');
  const formerKek = readKek();
  expect((await home.broker('rotate-key')).code).toBe(0);
  const error = 'error-memory-9WnTq5Xz3Lp';
  const fault = { kind: 'answer', status: 403, body: JSON.stringify({ errors: [`token=${error} denied`] }) } as const;
  fetching.vault.faults.plan(fault, { path: /^secret/ });
  expect((await home.post('/v1/credentials/vault/refresh')).status).toBe(403);

  const secrets = {
    ...Object.fromEntries(
      FETCHED.flatMap((name) => Object.entries(secretOf(name)).map(([field, value]) => [`${name}.${field}`, value])),
    ),
    ...TOKENS,
    kek: readKek(),
    formerKek,
    error,
  };
  const allowed = (name: string) => {
    if (name.endsWith('.api_key') || name in TOKENS) return 2;
    return name === 'kek' ? 1 : 0;
  };
  let seen: Readonly<Record<string, Sightings>> = {};
  const tooMany = async () => {
    // Nobody leaves it alone for the twenty seconds after which it collects its garbage anyway.
    for (const name of ['secrets', 'command']) expect(await askAsHelper(name)).toContain(secretOf(name).api_key);
    seen = searchMemory(daemon.pid, secrets);
    return Object.entries(seen).filter(([name, sightings]) => total(sightings) > allowed(name));
  };
  // Garbage is collected soon after a call, and once more when the connection is closed that keeps its last request.
  await expect.poll(tooMany, { interval: 3_000, timeout: 60_000 }).toEqual([]);
  // It was looked at all.
  expect(total(seen['kek'] ?? { plain: 0, utf16: 0, base64: 0 })).toBe(1);
  expect(total(seen['handedIn'] ?? { plain: 0, utf16: 0, base64: 0 })).toBeGreaterThan(0);
  for (const name of FETCHED) if (name !== 'vault') expect(await askAsHelper(name)).toContain(secretOf(name).api_key);
});
