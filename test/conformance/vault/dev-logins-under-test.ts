import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Certificate, makeCertificate } from '../../fakes/certificates.ts';
import type { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
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
    async fix(_stage, folder) {
      await privateFile(folder, '.aws/credentials', good);
    },
  };
}

/** A client certificate: spoilt by one of somebody whom nobody knows, from the same authority. */
export function cert({ authority, folder }: { authority: Certificate; folder: string }): LoginUnderTest {
  const client = (name: string) => makeCertificate(folder, name, { commonName: name, issuer: authority });
  const show = async (to: string, { cert: pem, key }: Certificate) => {
    await privateFile(to, 'client.pem', String(pem));
    await privateFile(to, 'client.key', String(key));
  };
  let shown = '';
  return {
    name: 'cert',
    ours: true,
    async prepare(stage, to) {
      devVault(stage).logins.certificate('laptop-7', GRANT);
      shown = to;
      await show(to, client('laptop-7'));
      return { method: 'cert', name: 'laptops' };
    },
    options: () => ({
      ca_file: authority.certFile,
      client_cert_file: join(shown, 'client.pem'),
      client_key_file: join(shown, 'client.key'),
    }),
    spoil: (to) => show(to, client('stranger')),
    fix: (_stage, to) => show(to, client('laptop-7')),
  };
}

function devVault(stage: VaultStage): DevVault {
  if (!(stage instanceof DevStage)) throw new TypeError('this login needs the development Vault');
  return stage.vault;
}
