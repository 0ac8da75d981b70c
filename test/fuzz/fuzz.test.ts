import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCache } from '../../src/cache/open.ts';
import { parseSettings } from '../../src/claude/settings/document.ts';
import { planEdits } from '../../src/claude/settings/edit.ts';
import { readProfiles } from '../../src/claude/shell/profiles.ts';
import { checkConfig } from '../../src/config/load.ts';
import { BrokerError, ProviderError } from '../../src/errors.ts';
import { silentLog } from '../../src/platform/log.ts';
import { applyEdits, revertEdits } from '../../src/platform/text-edits.ts';
import { failureOf } from '../../src/providers/vault/failures.ts';
import { BrokerHome, type RunningDaemon } from '../fakes/daemon-process.ts';
import { keyVersion, NOW, secret } from '../fakes/material.ts';
import { providerTypes } from '../fakes/provider-schemas.ts';
import { near } from './mutations.ts';

/** Each target in CI; `npm run fuzz -- --seconds N` for more. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 2);
const UNTIL_TIME = { numRuns: 1e9, interruptAfterTimeLimit: SECONDS * 1_000, markInterruptAsFailure: false } as const;
const CANARY = 'hvs.CANARY-q7Zp2vXw9LmB4tRy';

describe('the two lanes of the socket', () => {
  let home: BrokerHome;
  let daemon: RunningDaemon;

  beforeAll(async () => {
    home = new BrokerHome(
      '[providers.x]\ntype = "exec"\n[credentials.a]\nprovider = "x"\ncommand = ["echo", "sk-fuzz-0123456789"]\n',
    );
    daemon = await home.start();
    await home.key('a');
  });
  afterAll(() => home.close());

  it('whatever is sent costs nobody else their answer, and never brings a key under another status', async () => {
    const lines = [
      'GET /v1/credentials/a/key HTTP/1.1\r\nHost: broker\r\nAccept: text/plain\r\nConnection: close\r\n\r\n',
      'GET /v1/credentials/a/key HTTP/1.1\r\nhost: x\r\nBroker-Client-Interval-Ms: 300000\r\nBroker-Client-Hints: ep=cli\r\n\r\n',
      'POST /v1/credentials/a/refresh HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}',
      'GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n',
      'GET /v1/events?limit=10 HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n',
    ];
    const words = [
      '\r\n',
      '\n',
      '\0',
      ': ',
      '%2e%2e/',
      '../',
      '?',
      'a'.repeat(300),
      'Transfer-Encoding: chunked\r\n',
      'Content-Length: 9\r\n',
      'HTTP/1.0',
    ];
    await fc.assert(
      fc.asyncProperty(near(lines, words), async (bytes) => {
        const reply = await send(home.socket, bytes);
        if (reply.includes('sk-fuzz-0123456789')) expect(reply).toMatch(/^HTTP\/1\.1 200 /);
        if (reply !== '') expect(reply).toMatch(/^HTTP\/1\.1 [1-5]\d\d /);
        expect(reply).not.toContain('ERR_INTERNAL');
        expect(daemon.hasEnded).toBe(false);
      }),
      UNTIL_TIME,
    );
    expect(await home.key('a')).toMatchObject({ code: 0, stdout: 'sk-fuzz-0123456789\n' });
    expect(daemon.log).not.toMatch(/"level":"(?:fatal|error)"/);
  });
});

/** All that comes back; what is not complete is cut off by half-closing. */
async function send(socketPath: string, bytes: Uint8Array): Promise<string> {
  const { connect } = await import('node:net');
  return await new Promise((resolve) => {
    let reply = '';
    const socket = connect(socketPath);
    // A connection that is kept for more is not what is tried here.
    socket.setTimeout(300, () => socket.destroy());
    socket.setEncoding('latin1').on('data', (text) => {
      reply += text;
    });
    socket.on('error', () => undefined).once('close', () => resolve(reply));
    socket.end(bytes);
  });
}

it('a configuration is taken, or refused with every fault in words', async () => {
  const sample = `default = "a"
[providers.vault]
type = "vault"
address = "https://vault.example.com"
[providers.vault.auth]
method = "approle"
role_id_file = "~/role-id"
secret_id_file = "~/secret-id"
[credentials.a]
provider = "vault"
path = "secret/data/a"
fields = { one = "a", two = "b.c" }
ttl = "15m"
[credentials.a.check]
url = "https://api.example.com/v1/models"
headers = { x-version = "1" }
[daemon]
idle_after = "1h"
`;
  const words = [
    '"',
    "'",
    '"""',
    '[',
    ']]',
    '{',
    '=',
    '.',
    '#',
    '\\u0000',
    '\r',
    'true',
    '1e400',
    '9'.repeat(30),
    '__proto__',
    '[providers.vault]\n',
    '\ufeff',
  ];
  await fc.assert(
    fc.asyncProperty(near([sample], words), async (bytes) => {
      const result = checkConfig(bytes, { file: '/c/config.toml', types: providerTypes, env: {}, homeDir: '/home/u' });
      const checked = await Promise.resolve(result).catch((error: unknown) => error);
      if (checked instanceof Error) expect(checked).toBeInstanceOf(BrokerError);
    }),
    UNTIL_TIME,
  );
});

it('settings are left as they are, or get our line and lose it again to the byte', () => {
  const samples = [
    '{\n  "model": "opus",\n  "env": { "A": "1" },\n  "permissions": { "allow": ["Bash(ls)"] }\n}\n',
    '{}',
    '{ // words\n "hooks": {}, }',
    '\ufeff{"apiKeyHelper": "old", "apiKeyHelper": "older"}\r\n',
  ];
  const words = [
    '"',
    '{',
    '}',
    '[',
    ',',
    ':',
    '//',
    '/*',
    '*/',
    '\\',
    '\ufeff',
    '\t',
    'null',
    '"apiKeyHelper": 1,',
    '\ud800',
  ];
  const additions = [{ path: ['apiKeyHelper'], value: 'broker-key' }] as const;
  fc.assert(
    fc.property(near(samples, words), (bytes) => {
      try {
        const document = parseSettings(bytes, 'settings.json');
        const { edits } = planEdits(document, additions, 'settings.json');
        const after = applyEdits(document.text, edits);
        expect(revertEdits(after, edits)).toBe(document.text);
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
      }
    }),
    UNTIL_TIME,
  );
});

it('profiles of every shell are read without an end, a throw or a stall', () => {
  const homeDir = mkdtempSync(join(tmpdir(), 'broker-fuzz-'));
  const samples = [
    'export ANTHROPIC_API_KEY=sk-a\nif [ -f ~/.x ]; then . ~/.x; fi\n',
    'case $- in *i*) ;; *) return;; esac\nf() { export A=$(cat x); }; f\n',
    "set -gx ANTHROPIC_API_KEY 'sk-a'; and source ~/.x\n",
    'cat <<EOF\nexport A=1\nEOF\nalias k="export B=2"\nfor i in 1 2; do export C=$i; done\n',
  ];
  const words = [
    '"',
    "'",
    '`',
    '$(',
    '${',
    ')',
    '}',
    '<<E\n',
    '\\\n',
    ';',
    '&&',
    '|',
    'if ',
    'fi\n',
    '. ~/.bashrc\n',
    '\0',
    'function f\n',
    'end\n',
  ];
  mkdirSync(join(homeDir, '.config', 'fish'), { recursive: true });
  try {
    fc.assert(
      fc.property(
        near(samples, words),
        fc.constantFrom('.bashrc', '.zshenv', '.profile', '.config/fish/config.fish'),
        (bytes, file) => {
          writeFileSync(join(homeDir, file), bytes);
          const started = performance.now();
          readProfiles({ homeDir, env: {}, platform: 'linux', systemRoot: homeDir });
          expect(performance.now() - started).toBeLessThan(5_000);
          rmSync(join(homeDir, file));
        },
      ),
      UNTIL_TIME,
    );
  } finally {
    rmSync(homeDir, { recursive: true });
  }
});

it('an answer that is not a secret becomes a ProviderError that repeats no secret', () => {
  const asked = {
    provider: 'vault',
    address: 'https://vault.example.com',
    path: 'secret/data/a',
    namespace: undefined,
    secrets: [CANARY],
  } as const;
  const json = fc.oneof(
    fc.constant(undefined),
    fc.record(
      {
        errors: fc.oneof(
          fc.array(fc.oneof(fc.string(), fc.constant(`denied ${CANARY}`), fc.jsonValue())),
          fc.jsonValue(),
        ),
        data: fc.jsonValue(),
        warnings: fc.jsonValue(),
        lease_id: fc.jsonValue(),
        auth: fc.jsonValue(),
      },
      { requiredKeys: [] },
    ),
  );
  const what = fc.constantFrom('login', 'read', 'lease', 'token', 'unwrap', 'second-factor');
  const headers = fc.dictionary(fc.constantFrom('retry-after', 'date', 'content-type', 'server'), fc.string());
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 599 }), json, headers, what, (status, body, given, of) => {
      const reply = { status, json: body as never, headers: given, wantsTls: status % 2 === 0 };
      const failure = failureOf({ ...reply, asked: { ...asked, what: of } });
      expect(failure).toBeInstanceOf(ProviderError);
      expect(`${failure.message} ${failure.remedy}`).not.toContain(CANARY);
      expect(failure.message.length).toBeLessThan(2_000);
      // Only Vault's own words take a key away.
      const errors: unknown = body?.errors;
      const isVaults = Array.isArray(errors) && errors.every((each) => typeof each === 'string');
      if (!isVaults) expect(failure.kind).not.toMatch(/^(?:gone|denied)$/);
    }),
    UNTIL_TIME,
  );
});

describe('a database that anything has happened to', () => {
  let sample: string;
  let kek: Buffer;

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'broker-fuzz-'));
    const cache = await openCache({ stateDir: folder, log: silentLog, wallMs: () => NOW });
    for (const name of ['a', 'b', 'c']) {
      const value = secret(`sk-${name}`);
      cache.put(keyVersion(name, { digest: cache.digest(value) }), value);
    }
    cache.close();
    sample = readFileSync(join(folder, 'cache.db')).toString('latin1');
    kek = readFileSync(join(folder, 'kek'));
    rmSync(folder, { recursive: true });
  });

  it('serves the keys that are in it, none that is not, and goes on', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.nat(), bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }) }), { maxLength: 5 }),
        fc.option(fc.nat(), { nil: undefined }),
        async (patches, cut) => {
          const folder = mkdtempSync(join(tmpdir(), 'broker-fuzz-'));
          try {
            const bytes = Buffer.from(sample, 'latin1');
            for (const patch of patches) bytes.set(patch.bytes.subarray(0, 64), patch.at % (bytes.length - 64));
            const length = cut === undefined ? bytes.length : cut % bytes.length;
            writeFileSync(join(folder, 'cache.db'), bytes.subarray(0, length), { mode: 0o600 });
            writeFileSync(join(folder, 'kek'), kek, { mode: 0o600 });
            const cache = await openCache({ stateDir: folder, log: silentLog, wallMs: () => NOW });
            for (const { credential } of cache.keys()) {
              expect(cache.open(credential)?.get('value')?.reveal()).toBe(`sk-${credential}`);
            }
            const value = secret('sk-new');
            cache.put(keyVersion('new', { digest: cache.digest(value) }), value);
            expect(cache.health().persistent).toBe(true);
            cache.close();
          } finally {
            rmSync(folder, { recursive: true, force: true });
          }
        },
      ),
      UNTIL_TIME,
    );
  });
});
