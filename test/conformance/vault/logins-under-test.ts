import { randomBytes } from 'node:crypto';
import type { SecretBytes } from '../../../src/credential/secret.ts';
import type { ProviderHost } from '../../../src/providers/provider.ts';
import { type VaultOptions, vaultDefinition } from '../../../src/providers/vault/options.ts';
import { AutomaticPerson } from '../../fakes/automatic-person.ts';
import { freePort } from '../../fakes/loopback.ts';
import { privateFile } from './private-file.ts';
import type { CallbackMode, Data, VaultStage } from './vault-stage.ts';

/** One login method: what `auth` says, and what spoils it. */
export interface LoginUnderTest {
  readonly name: string;
  /** Sets the login up; returns the `auth` table. Whatever is secret contains the canary where that can be chosen. */
  prepare(stage: VaultStage, folder: string, canary: string): Promise<Data>;
  /** More of the provider's table than `auth`. */
  options?(): Data;
  /** Whatever is good for one provider only. */
  beforeConnecting?(stage: VaultStage, folder: string): Promise<void>;
  /** No login can be had any more, by the fault of its inputs. */
  spoil(folder: string): Promise<void>;
  fix(stage: VaultStage, folder: string): Promise<void>;
  /** What a person does before a provider can read anything, and after `fix()`. */
  logIn?(options: VaultOptions, host: ProviderHost): Promise<SecretBytes>;
  /** Whether the broker logs in itself, so that its logins are kept and leases hang on them. */
  readonly ours: boolean;
}

interface Prepared {
  readonly secret: string;
  auth(file: string): Data;
}

/** A login whose one secret lies in one file: spoilt by writing another one there. */
function withFile(name: string, prepare: (stage: VaultStage, canary: string) => Promise<Prepared>): LoginUnderTest {
  let secret = '';
  return {
    name,
    ours: true,
    async prepare(stage, folder, canary) {
      const prepared = await prepare(stage, canary);
      secret = prepared.secret;
      return prepared.auth(await privateFile(folder, 'secret', `${secret}\n`));
    },
    async spoil(folder) {
      await privateFile(folder, 'secret', 'not-the-right-one\n');
    },
    async fix(_stage, folder) {
      await privateFile(folder, 'secret', secret);
    },
  };
}

export const approle = () =>
  withFile('approle', async (stage, canary) => {
    const secret = `${canary}-${randomBytes(12).toString('hex')}`;
    const { mount, roleId } = await stage.appRole(secret);
    return { secret, auth: (file) => ({ method: 'approle', mount, role_id: roleId, secret_id_file: file }) };
  });

/** The secret-id is behind a token that unwraps it once: every provider is handed one of its own. */
export const wrappedApprole = (): LoginUnderTest => {
  const handOut = async (stage: VaultStage, folder: string) =>
    await privateFile(folder, 'secret', await stage.wrappedSecretId());
  return {
    name: 'approle with a wrapped secret-id',
    ours: true,
    async prepare(stage, folder, canary) {
      const { mount, roleId } = await stage.appRole(`${canary}-${randomBytes(12).toString('hex')}`);
      const secret_id_file = await handOut(stage, folder);
      return { method: 'approle', mount, role_id: roleId, secret_id_file, secret_id_wrapped: true };
    },
    async beforeConnecting(stage, folder) {
      await handOut(stage, folder);
    },
    async spoil(folder) {
      await privateFile(folder, 'secret', 'not-the-right-one\n');
    },
    async fix(stage, folder) {
      await handOut(stage, folder);
    },
  };
};

function withPassword(method: 'userpass' | 'ldap') {
  return withFile(method, async (stage, canary) => {
    const secret = `${canary} ${randomBytes(12).toString('hex')}`;
    const { mount } = await stage.user(method, 'ada.lovelace', secret);
    return { secret, auth: (file) => ({ method, mount, username: 'ada.lovelace', password_file: file }) };
  });
}

export const userpass = () => withPassword('userpass');
export const ldap = () => withPassword('ldap');

function workload(method: 'jwt' | 'kubernetes') {
  return withFile(method, async (stage) => {
    const { mount, role, jwt } = await stage.jwt(method);
    return { secret: jwt, auth: (file) => ({ method, mount, role, jwt_file: file }) };
  });
}

export const jwt = () => workload('jwt');
export const kubernetes = () => workload('kubernetes');

/** A person in front of a browser: the login lives as long as its token, and only another visit mends it. */
export function oidc(mode: CallbackMode = 'client'): LoginUnderTest {
  let stage: VaultStage | undefined;
  return {
    name: mode === 'client' ? 'oidc' : `oidc, callback ${mode}`,
    ours: true,
    async prepare(onStage) {
      stage = onStage;
      const port = await freePort();
      const { mount, role } = await stage.oidc(mode, port);
      return { method: 'oidc', mount, role, callback_port: port };
    },
    async spoil() {
      await stage?.dropLogins();
    },
    async fix() {},
    async logIn(options, host) {
      const logIn = await vaultDefinition.interactive?.load();
      if (logIn === undefined) throw new Error('no interactive login');
      return logIn(options, host, new AutomaticPerson(), { signal: AbortSignal.timeout(10_000) });
    },
  };
}

/** A token that was handed in: nothing of it is the broker's, and only its giver can fix it. */
export const token = (): LoginUnderTest => ({
  name: 'token',
  ours: false,
  async prepare(stage, folder) {
    return { method: 'token', token_file: await privateFile(folder, 'token', await stage.token()) };
  },
  async spoil(folder) {
    await privateFile(folder, 'token', 'hvs.not-the-right-one');
  },
  async fix(stage, folder) {
    await privateFile(folder, 'token', await stage.token());
  },
});
