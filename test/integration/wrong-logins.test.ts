import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';

/** Five wrong logins lock an AppRole role for every laptop: one laptop makes two at the most, however it is used. */
test('however often a wrong secret-id is asked with, refreshed or restarted, the role sees two logins', async () => {
  const home = new BrokerHome('');
  const vault = await DevVault.start({ nowMs: Date.now });
  onTestFinished(async () => {
    await home.close();
    await vault.stop();
  });
  vault.kv.writeV2('secret/claude', { api_key: 'sk-right' });
  vault.policies.write('reader', ['secret/data/*']);
  const roleId = vault.logins.appRole('broker', { policies: ['reader'] });
  const file = join(home.folder, 'secret-id');
  writeFileSync(file, 'wrong', { mode: 0o600 });
  home.configure(`default = "claude"
[providers.vault]
type = "vault"
address = "${vault.address}"
auth = { method = "approle", role_id = "${roleId}", secret_id_file = "${file}" }
[credentials.claude]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
`);
  const logins = () => vault.count(/auth.approle.login/);
  const daemon = await home.start();
  for (let ask = 0; ask < 5; ask += 1) {
    expect((await home.request('GET', '/v1/credentials/claude/key')).status).toBe(403);
  }
  expect(logins()).toBe(1);
  await home.request('POST', '/v1/credentials/claude/refresh');
  expect(logins()).toBe(2);
  writeFileSync(file, 'wrong as well', { mode: 0o600 });
  await home.request('GET', '/v1/credentials/claude/key');
  expect((await home.request('POST', '/v1/credentials/claude/refresh')).body).toContain('within 15 minutes');
  process.kill(daemon.pid, 'SIGKILL');
  await home.start();
  const told = await home.request('GET', '/v1/credentials/claude/key');
  expect(told.body).toContain('within 15 minutes');
  expect(told.body).toMatch(/next try in 1[45] min/);
  expect(logins()).toBe(2);
});
