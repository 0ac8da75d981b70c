import { afterEach, beforeEach, expect, test } from 'vitest';
import { sealable } from '../../src/providers/oauth2/session.ts';
import { cacheDump } from '../fakes/cache-dump.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { TokenServer } from '../fakes/token-server.ts';

/** Refresh tokens that are replaced at every use, at a server that ends the login when one is used again. */
const CREDENTIALS = 5;
const ASKS = 50;

let server: TokenServer;
let home: BrokerHome;
let first: string;

beforeEach(async () => {
  server = new TokenServer();
  server.mark = 'canary';
  await server.start();
  const credentials = Array.from(
    { length: CREDENTIALS },
    (_, at) => `[credentials.c${at}]\nprovider = "corp"\nscopes = "s${at}"\n`,
  );
  home = new BrokerHome(`default = "c0"
[providers.corp]
type = "oauth2"
grant = "device_code"
client_id = "broker"
client_secret = "secret"
token_endpoint = "${server.url}/token"
device_authorization_endpoint = "${server.url}/device"
${credentials.join('')}`);
  first = server.logIn();
});

afterEach(async () => {
  await home.close();
  await server.stop();
});

async function logIn(): Promise<void> {
  using token = sealable({ refreshToken: first });
  expect(await home.post('/v1/providers/corp/login', token.reveal())).toMatchObject({ status: 200 });
}

/** Each one makes the provider ask for a token, unless one for that credential is under way. */
const askAll = () =>
  Promise.all(
    Array.from({ length: ASKS }, (_, at) =>
      home.post(`/v1/credentials/c${at % CREDENTIALS}/refresh`).catch(() => ({ status: 0, body: '' })),
    ),
  );

/** A gate that counts who waits before it. */
function barrier() {
  const { promise, resolve: open } = Promise.withResolvers<void>();
  const { promise: reached, resolve: arrive } = Promise.withResolvers<void>();
  return {
    open,
    reached,
    wait: () => {
      arrive();
      return promise;
    },
  };
}

test.each([
  ['the server has not looked at it yet', 'beforeUse'],
  ['the server has used it up and not answered yet', 'beforeAnswer'],
] as const)('a daemon killed -9 with a refresh token on its way, when %s, logs nobody out', async (_, moment) => {
  const daemon = await home.start();
  await logIn();
  const held = barrier();
  server[moment] = held.wait;
  const asked = askAll();
  await held.reached;
  await daemon.end('SIGKILL');
  server[moment] = undefined;
  held.open();
  await asked;
  await home.start();
  const answers = await askAll();
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect({ isLoggedIn: server.isLoggedIn(first), reuses: server.reuses }).toEqual({ isLoggedIn: true, reuses: 0 });
  expect(home.stateFiles().filter((name) => name.startsWith('login-'))).toEqual([]);
});

test('a daemon killed -9 again and again in the middle of fifty asks logs nobody out', async () => {
  let daemon = await home.start();
  await logIn();
  for (const afterMs of [0, 2, 9, 25, 60, 110, 170, 260, 400]) {
    const asked = askAll();
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await daemon.end('SIGKILL');
    await asked;
    daemon = await home.start();
  }
  const answers = await askAll();
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect({ isLoggedIn: server.isLoggedIn(first), reuses: server.reuses }).toEqual({ isLoggedIn: true, reuses: 0 });
});

test('a daemon that is stopped with a refresh token on its way leaves its answer to the next one', async () => {
  const daemon = await home.start();
  await logIn();
  const held = barrier();
  server.beforeAnswer = held.wait;
  const asked = askAll();
  await held.reached;
  expect(await daemon.end('SIGTERM')).toBe(0);
  server.beforeAnswer = undefined;
  held.open();
  await asked;
  await home.start();
  expect((await home.post('/v1/credentials/c1/refresh')).status).toBe(200);
  expect({ isLoggedIn: server.isLoggedIn(first), reuses: server.reuses }).toEqual({ isLoggedIn: true, reuses: 0 });
});

test('nothing of a login lies about in the open: not in the state folder, nor in the log', async () => {
  const daemon = await home.start();
  await logIn();
  await askAll();
  expect(daemon.log).not.toContain('canary');
  expect(cacheDump(home.stateDir)).not.toContain('canary');
});
