import { randomBytes } from 'node:crypto';
import type { DevVault } from '../../../src/demo/dev-vault.ts';
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
