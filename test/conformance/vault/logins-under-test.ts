import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DevVault } from '../../../src/demo/dev-vault.ts';
import { vaultDefinition } from '../../../src/providers/vault/definition.ts';
import { AutomaticPerson, freePort } from '../../fakes/automatic-person.ts';
import { GRANT, type LoginUnderTest, privateFile } from './vault-harness.ts';

/** A login whose one secret lies in one file: spoilt by writing another one there. */
function withFile(
  name: string,
  prepare: (vault: DevVault, secret: string) => { auth: (file: string) => Record<string, unknown>; secret: string },
): LoginUnderTest {
  let secret = '';
  return {
    name,
    ours: true,
    async prepare(vault, folder) {
      const prepared = prepare(vault, `pw-${randomBytes(12).toString('hex')}`);
      secret = prepared.secret;
      return prepared.auth(await privateFile(folder, 'secret', `${secret}\n`));
    },
    async spoil(_vault, folder) {
      await privateFile(folder, 'secret', 'not-the-right-one\n');
    },
    async mend(_vault, folder) {
      await privateFile(folder, 'secret', secret);
    },
  };
}

export const approle = withFile('approle', (vault) => {
  const roleId = vault.logins.appRole('broker', GRANT);
  return {
    secret: vault.logins.secretId('broker'),
    auth: (file) => ({ method: 'approle', role_id: roleId, secret_id_file: file }),
  };
});

export const userpass = withFile('userpass', (vault, secret) => {
  vault.logins.user('userpass', 'ada.lovelace', secret, GRANT);
  return { secret, auth: (file) => ({ method: 'userpass', username: 'ada.lovelace', password_file: file }) };
});

export const kubernetes = withFile('kubernetes', (vault, secret) => {
  vault.logins.jwtRole('kubernetes', 'pod', secret, { ...GRANT, type: 'batch' });
  return { secret, auth: (file) => ({ method: 'kubernetes', role: 'pod', jwt_file: file }) };
});

const awsFile = (id: string, secret: string) =>
  `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`;

/** Signed with what ~/.aws/credentials holds. */
export const aws: LoginUnderTest = {
  name: 'aws',
  ours: true,
  async prepare(vault, folder) {
    const [accessKeyId, secretAccessKey] = ['AKIABROKERTEST000000', `pw-${randomBytes(24).toString('hex')}`];
    vault.iam.role('broker', { accessKeyId, secretAccessKey, serverId: 'vault.example.com', grant: GRANT });
    await mkdir(join(folder, '.aws'), { mode: 0o700 });
    awsSecret = awsFile(accessKeyId, secretAccessKey);
    await privateFile(folder, '.aws/credentials', awsSecret);
    return { method: 'aws', role: 'broker', server_id: 'vault.example.com', region: 'eu-west-1' };
  },
  async spoil(_vault, folder) {
    await privateFile(folder, '.aws/credentials', awsFile('AKIABROKERTEST000000', 'not-the-right-one'));
  },
  async mend(_vault, folder) {
    await privateFile(folder, '.aws/credentials', awsSecret);
  },
};
let awsSecret = '';

/** A person in front of a browser: the login lives as long as its token, and only another visit mends it. */
export const oidc: LoginUnderTest = {
  name: 'oidc',
  ours: true,
  async prepare(vault) {
    const port = await freePort();
    vault.oidc.role('broker', { grant: GRANT, allowedRedirectUris: [`http://localhost:${port}/oidc/callback`] });
    return { method: 'oidc', role: 'broker', callback_port: port };
  },
  async spoil(vault) {
    for (const { id } of vault.tokens.live()) if (id !== vault.rootToken) vault.tokens.revoke(id);
  },
  async mend() {},
  async logIn(options, host) {
    const logIn = await vaultDefinition.interactive?.load();
    if (logIn === undefined) throw new Error('no interactive login');
    return logIn(options, host, new AutomaticPerson(), { signal: AbortSignal.timeout(10_000) });
  },
};

/** A token that was handed in: nothing of it is the broker's, and only its giver can mend it. */
export const token: LoginUnderTest = {
  name: 'token',
  ours: false,
  async prepare(vault, folder) {
    return { method: 'token', token_file: await privateFile(folder, 'token', vault.createToken(GRANT).id) };
  },
  async spoil(_vault, folder) {
    await privateFile(folder, 'token', 'hvs.not-the-right-one');
  },
  async mend(vault, folder) {
    await privateFile(folder, 'token', vault.createToken(GRANT).id);
  },
};
