import {
  CreateSecretCommand,
  DeleteSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { DeleteParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { Keeper } from '../conformance/aws/aws-moto-harness.ts';

export const MOTO = process.env['BROKER_TEST_MOTO'] ?? '';
export const REGION = 'us-east-1';

const config = {
  endpoint: MOTO,
  region: REGION,
  credentials: { accessKeyId: 'administrator', secretAccessKey: 'administrator' },
};
export const secretsManager = new SecretsManagerClient(config);
export const ssm = new SSMClient(config);

export const secretsManagerKeeper: Keeper = {
  async create(name, text) {
    await secretsManager.send(new CreateSecretCommand({ Name: name, SecretString: text }));
  },
  async replace(name, text) {
    await secretsManager.send(new PutSecretValueCommand({ SecretId: name, SecretString: text }));
  },
  async delete(name) {
    await secretsManager.send(new DeleteSecretCommand({ SecretId: name, ForceDeleteWithoutRecovery: true }));
  },
};

export const ssmKeeper: Keeper = {
  async create(name, text) {
    await ssm.send(new PutParameterCommand({ Name: name, Value: text, Type: 'SecureString', Tier: 'Advanced' }));
  },
  async replace(name, text) {
    await ssm.send(
      new PutParameterCommand({ Name: name, Value: text, Type: 'SecureString', Tier: 'Advanced', Overwrite: true }),
    );
  },
  async delete(name) {
    await ssm.send(new DeleteParameterCommand({ Name: name }));
  },
};

/** IAM's query protocol; moto reads from the header which service is meant and checks nothing while nothing is enforced. */
export async function iam(action: string, parameters: Record<string, string>): Promise<string> {
  const answer = await fetch(`${MOTO}/`, {
    method: 'POST',
    headers: {
      authorization: `AWS4-HMAC-SHA256 Credential=x/20200101/${REGION}/iam/aws4_request, SignedHeaders=host, Signature=x`,
    },
    body: new URLSearchParams({ Action: action, Version: '2010-05-08', ...parameters }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${action}: ${text}`);
  return text;
}

/** From now on moto checks keys and policies (`true`), or nothing (`false`). */
export async function enforcePermissions(enforce: boolean): Promise<void> {
  const answer = await fetch(`${MOTO}/moto-api/reset-auth`, { method: 'POST', body: enforce ? '0' : 'inf' });
  if (!answer.ok) throw new Error(`reset-auth: ${await answer.text()}`);
}
