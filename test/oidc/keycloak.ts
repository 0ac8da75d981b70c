import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../fakes/loopback.ts';

export const KEYCLOAK = '26.7.3';
const CACHE = join(import.meta.dirname, '..', '..', '.cache', 'keycloak');
const HOME = join(CACHE, `keycloak-${KEYCLOAK}`);
/** It optimizes itself at its first start. */
const START_LIMIT_MS = 600_000;

/** What the tests are told by their environment. */
export interface KeycloakFacts {
  readonly issuer: string;
  readonly callbackPort: number;
  /** PEM of the key that the client `signer` signs with. */
  readonly signingKey: string;
}

export const CLIENT_SECRET = 'canary-client-secret-of-keycloak';
export const PERSON = { username: 'ada', password: 'canary-password' };

/** From Maven Central by Maven's own client, once. */
export function install(): void {
  if (existsSync(join(HOME, 'bin', 'kc.sh'))) return;
  console.error(`downloading Keycloak ${KEYCLOAK} into .cache/keycloak …`);
  mkdirSync(CACHE, { recursive: true });
  const artifact = `org.keycloak:keycloak-quarkus-dist:${KEYCLOAK}:zip`;
  must(
    'mvn',
    ['-q', '-B', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${CACHE}`],
    'apt-get install maven',
  );
  const archive = join(CACHE, `keycloak-quarkus-dist-${KEYCLOAK}.zip`);
  must('unzip', ['-q', '-o', archive, '-d', CACHE], 'apt-get install unzip');
  rmSync(archive);
}

function must(command: string, args: readonly string[], remedy: string): void {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], cwd: CACHE });
  if (status !== 0) throw new Error(`${command} failed (${error?.message ?? status}); is it there? ${remedy}`);
}

/** A server with a realm of its own, in memory, on a free port of this machine. */
export class Keycloak {
  readonly facts: KeycloakFacts;
  readonly startedInMs: number;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(facts: KeycloakFacts, startedInMs: number, process: ChildProcess, folder: string) {
    this.facts = facts;
    this.startedInMs = startedInMs;
    this.#process = process;
    this.#folder = folder;
  }

  static async start(): Promise<Keycloak> {
    const [port, management, callbackPort] = [await freePort(), await freePort(), await freePort()];
    const keys = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const folder = mkdtempSync(join(tmpdir(), 'broker-keycloak-'));
    const imports = join(HOME, 'data', 'import');
    mkdirSync(imports, { recursive: true });
    writeFileSync(join(imports, 'broker-realm.json'), JSON.stringify(realm(callbackPort, keys.publicKey)));
    const startedAt = performance.now();
    const options = [
      `--http-port=${port}`,
      `--http-management-port=${management}`,
      '--http-host=127.0.0.1',
      '--db=dev-mem',
      '--import-realm',
    ];
    const server = spawn(join(HOME, 'bin', 'kc.sh'), ['start-dev', ...options], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    await ready(server);
    const facts = { issuer: `http://127.0.0.1:${port}/realms/broker`, callbackPort, signingKey: keys.privateKey };
    return new Keycloak(facts, performance.now() - startedAt, server, folder);
  }

  /** Its Java runs under a shell script. */
  async stop(): Promise<void> {
    const { pid, exitCode, signalCode } = this.#process;
    if (pid !== undefined && exitCode === null && signalCode === null) {
      const gone = once(this.#process, 'exit');
      process.kill(-pid, 'SIGKILL');
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function ready(server: ChildProcess): Promise<void> {
  if (server.stdout === null) throw new TypeError('its output is piped');
  const lines = createInterface({ input: server.stdout });
  const said: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const limit = setTimeout(() => reject(new Error(`Keycloak is not ready:\n${said.join('\n')}`)), START_LIMIT_MS);
  lines.on('line', (line) => {
    said.push(line);
    if (/Listening on: http/.test(line)) resolve();
  });
  server.once('exit', () => reject(new Error(`Keycloak ended:\n${said.join('\n')}`)));
  await promise.finally(() => clearTimeout(limit));
}

/** Refresh tokens are good once. */
function realm(callbackPort: number, publicKey: string): object {
  const jwk = { ...createPublicKey(publicKey).export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'signer' };
  return {
    realm: 'broker',
    enabled: true,
    sslRequired: 'none',
    revokeRefreshToken: true,
    refreshTokenMaxReuse: 0,
    accessTokenLifespan: 60,
    roles: { realm: [{ name: 'offline_access', description: 'offline access' }] },
    users: [
      {
        ...{ username: PERSON.username, enabled: true, email: 'ada@example.com', emailVerified: true },
        ...{ firstName: 'Ada', lastName: 'Lovelace' },
        realmRoles: ['offline_access'],
        credentials: [{ type: 'password', value: PERSON.password, temporary: false }],
      },
    ],
    clients: [
      machine('machine', { protocolMappers: [audience('exchanger'), audience('gateway')] }),
      machine('exchanger', {
        attributes: { 'standard.token.exchange.enabled': 'true' },
        protocolMappers: [audience('gateway')],
      }),
      machine('gateway', {}),
      {
        ...machine('signer', {}),
        clientAuthenticatorType: 'client-jwt',
        attributes: {
          'use.jwks.string': 'true',
          'jwks.string': JSON.stringify({ keys: [jwk] }),
          'token.endpoint.auth.signing.alg': 'ES256',
        },
      },
      person('device', {
        standardFlowEnabled: false,
        attributes: {
          'oauth2.device.authorization.grant.enabled': 'true',
          'oauth2.device.polling.interval': '1',
          ...PKCE,
        },
      }),
      person('browser', { redirectUris: [`http://localhost:${callbackPort}/oidc/callback`], attributes: PKCE }),
    ],
  };
}

/** Of the device request, too. */
const PKCE = { 'pkce.code.challenge.method': 'S256' };

function machine(clientId: string, more: object): object {
  const grants = { serviceAccountsEnabled: true, standardFlowEnabled: false, directAccessGrantsEnabled: false };
  return { clientId, enabled: true, publicClient: false, secret: CLIENT_SECRET, ...grants, ...more };
}

function person(clientId: string, more: object): object {
  return {
    clientId,
    enabled: true,
    publicClient: true,
    standardFlowEnabled: true,
    directAccessGrantsEnabled: false,
    ...more,
  };
}

function audience(client: string): object {
  return {
    name: `for ${client}`,
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': client, 'access.token.claim': 'true' },
  };
}
