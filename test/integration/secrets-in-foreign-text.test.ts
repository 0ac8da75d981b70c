import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cacheDump } from '../fakes/cache-dump.ts';
import { BrokerHome, type RunningDaemon } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';

const home = new BrokerHome('');
let vault: DevVault;
let daemon: RunningDaemon;
const script = join(home.folder, 'tool');

const configuration = (password: string, token: string) => `default = "echo"
[providers.vault]
type = "vault"
address = "${vault.address}"
auth = { method = "token", token = "${vault.rootToken}" }
[credentials.vault]
provider = "vault"
path = "secret/data/claude"
[providers.inline]
type = "vault"
address = "${vault.address}"
auth = { method = "token", token = "${token}" }
[credentials.inline]
provider = "inline"
path = "kv/claude"
[providers.tool]
type = "exec"
command = ["${script}", "--token", "canary-flag"]
env = { PGPASSWORD = "${password}", BW_SESSION = "canary-session" }
[credentials.fails]
provider = "tool"
args = ["fail"]
[credentials.echo]
provider = "tool"
`;

beforeAll(async () => {
  vault = await DevVault.start({ nowMs: Date.now });
  vault.kv.writeV1('kv/claude', { api_key: 'sk-inline' });
  const said = 'cannot connect: postgres://admin:canary-1@db/x with password=canary2 pwd: canary3';
  vault.faults.plan(
    { kind: 'answer', status: 400, body: JSON.stringify({ errors: [said] }) },
    { times: 99, path: /^secret/ },
  );
  const text = `#!/bin/sh
if [ "$3" = fail ]; then echo "tried pin 4711 and password=canary4, said $PGPASSWORD" >&2; exit 1; fi
echo "sk-of-$PGPASSWORD"
`;
  writeFileSync(script, text, { mode: 0o700 });
  home.configure(configuration('canary5', 'hvs.canary-that-is-not-known'));
  daemon = await home.start();
});

afterAll(async () => {
  await home.close();
  await vault.stop();
});

test('a password in the words of a provider is in no message, event, status or database', async () => {
  const shown = [await home.key('vault'), await home.post('/v1/credentials/fails/refresh')].map((each) =>
    JSON.stringify(each),
  );
  for (const path of ['/v1/status', '/v1/events', '/v1/config']) shown.push((await home.get(path)).body);
  for (const words of [['status'], ['events'], ['config', 'show'], ['status', '--json'], ['events', '--json']]) {
    shown.push(JSON.stringify(await home.broker(...words)));
  }
  expect(shown.join('\n')).toContain('cannot connect: postgres://[redacted]@db/x with password=[redacted]');
  expect(shown.join('\n')).toContain('tried pin [redacted] and password=[redacted]');
  expect(shown.join('\n')).not.toMatch(/canary|4711/);
  expect(cacheDump(home.stateDir)).not.toMatch(/canary|4711/);
});

test('the variables of a command are masked, and a changed one, or a changed token, takes effect at once', async () => {
  expect((await home.key('inline')).code).toBe(77);
  const { stdout } = await home.broker('config', 'show');
  expect(stdout).toMatch(/PGPASSWORD.*\*{8}/);
  expect(stdout).toMatch(/BW_SESSION.*\*{8}/);
  expect(await home.key()).toMatchObject({ code: 0, stdout: 'sk-of-canary5\n' });
  const taken = daemon.whenLogged('took over the changed configuration');
  home.configure(configuration('canary6', vault.rootToken));
  await taken;
  expect(await home.key()).toMatchObject({ code: 0, stdout: 'sk-of-canary6\n' });
  expect(await home.key('inline')).toMatchObject({ code: 0, stdout: 'sk-inline\n' });
});

test('a guess of a password cannot be tried on the database', async () => {
  expect((await home.key()).code).toBe(0);
  const dump = cacheDump(home.stateDir);
  expect(dump).toContain('"credential":"echo"');
  // Events show the fingerprint of a key, which is keyed; records show none.
  expect(dump.split('\n').filter((line) => line.startsWith('kind=') && line.includes('ingerprint"'))).toEqual([]);
  // Neither the digest of the whole configuration nor that of the password alone.
  expect(dump).not.toContain(createHash('sha256').update('canary6').digest('hex').slice(0, 32));
});
