import { ProviderError } from '../../../errors.ts';
import type { ProviderHost } from '../../definition.ts';
import type { InteractiveLogin } from '../../interactive-login.ts';
import type { Call } from '../../provider.ts';
import { type Bounds, Underway } from '../../underway.ts';
import { type AuthOf, interactiveAuth } from '../auth-schema.ts';
import { VaultClient, type VaultReply, type VaultRequest } from '../client.ts';
import { openConnection } from '../connection.ts';
import { failureOf } from '../failures.ts';
import { grantedByLogin } from '../granted-login.ts';
import type { VaultOptions } from '../options.ts';
import { type Attendance, grantIn } from './attendance.ts';
import { logsInByItself } from './methods.ts';
import { oidcLogin } from './oidc.ts';

/** `broker login`: oidc, and userpass and ldap where the configuration has no password. */
export const logInInteractively: InteractiveLogin<VaultOptions> = async (options, host, dialogue, call) => {
  const { address, namespace } = options;
  const auth = interactiveAuth(options.auth);
  if (auth === undefined) throw logsInByItself(host.name, options.auth);
  const connection = openConnection(options, host);
  const client = new VaultClient(connection, { provider: host.name, address }, namespace);
  const attendance: Attendance = { host, dialogue, signal: call.signal, ask: asker(client, options, host, call) };
  try {
    const reply = auth.method === 'oidc' ? await oidcLogin(auth, attendance) : await passwordLogin(auth, attendance);
    return grantedByLogin(reply, host.clock.now(), host.name).token;
  } finally {
    client.close();
  }
};

async function passwordLogin(
  auth: AuthOf<'userpass'> | AuthOf<'ldap'>,
  { dialogue, ask }: Attendance,
): Promise<VaultReply> {
  using password = await dialogue.askPassword(`Password of ${auth.username} (${auth.method})`);
  const text = password.reveal();
  const path = `auth/${auth.mount}/login/${encodeURIComponent(auth.username)}`;
  const reply = await ask({ what: 'login', method: 'POST', path, body: { password: text }, secrets: [text] });
  if (reply.status !== 400 && reply.status !== 403) return grantIn(reply);
  throw new ProviderError('login-expired', failureOf(reply).message, {
    remedy: `check the password, and username and mount in [providers.${reply.asked.provider}.auth]; then try again`,
  });
}

function asker(client: VaultClient, { address, timeout }: VaultOptions, host: ProviderHost, call: Call) {
  const underway = new Underway(host.name);
  const bounds: Bounds = {
    clock: host.clock,
    limitMs: timeout,
    late: () =>
      new ProviderError('transient', `Vault at ${address} did not answer within ${timeout / 1000} s`, {
        remedy: 'see whether it is up and reachable from here',
      }),
  };
  return (request: VaultRequest) => underway.run(call, bounds, (signal) => client.send(request, signal));
}
