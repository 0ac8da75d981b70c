import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DevVault } from '../../../src/demo/dev-vault.ts';
import { vaultDefinition } from '../../../src/providers/vault/definition.ts';
import { AutomaticPerson, freePort } from '../../fakes/automatic-person.ts';
import { DevStage, GRANT } from './dev-stage.ts';
import type { LoginUnderTest } from './logins-under-test.ts';
import { privateFile } from './private-file.ts';
import type { VaultStage } from './vault-stage.ts';

const awsFile = (id: string, secret: string) =>
  `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`;

/** Signed with what ~/.aws/credentials holds. A real server would ask AWS, so this is for the development Vault. */
export function aws(): LoginUnderTest {
  let good = '';
  return {
    name: 'aws',
    ours: true,
    async prepare(stage, folder) {
      const [accessKeyId, secretAccessKey] = ['AKIABROKERTEST000000', `pw-${randomBytes(24).toString('hex')}`];
      devVault(stage).iam.role('broker', {
        accessKeyId,
        secretAccessKey,
        serverId: 'vault.example.com',
        grant: GRANT,
      });
      await mkdir(join(folder, '.aws'), { mode: 0o700 });
      good = awsFile(accessKeyId, secretAccessKey);
      await privateFile(folder, '.aws/credentials', good);
      return { method: 'aws', role: 'broker', server_id: 'vault.example.com', region: 'eu-west-1' };
    },
    async spoil(folder) {
      await privateFile(folder, '.aws/credentials', awsFile('AKIABROKERTEST000000', 'not-the-right-one'));
    },
    async mend(_stage, folder) {
      await privateFile(folder, '.aws/credentials', good);
    },
  };
}

/** A person in front of a browser: the login lives as long as its token, and only another visit mends it. */
export function oidc(): LoginUnderTest {
  let stage: VaultStage | undefined;
  return {
    name: 'oidc',
    ours: true,
    async prepare(onStage) {
      stage = onStage;
      const port = await freePort();
      const allowedRedirectUris = [`http://localhost:${port}/oidc/callback`];
      devVault(onStage).oidc.role('broker', { grant: GRANT, allowedRedirectUris });
      return { method: 'oidc', role: 'broker', callback_port: port };
    },
    async spoil() {
      await stage?.dropLogins();
    },
    async mend() {},
    async logIn(options, host) {
      const logIn = await vaultDefinition.interactive?.load();
      if (logIn === undefined) throw new Error('no interactive login');
      return logIn(options, host, new AutomaticPerson(), { signal: AbortSignal.timeout(10_000) });
    },
  };
}

function devVault(stage: VaultStage): DevVault {
  if (!(stage instanceof DevStage)) throw new TypeError('this login needs the development Vault');
  return stage.vault;
}
