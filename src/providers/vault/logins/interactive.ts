import { ProviderError } from '../../../errors.ts';
import { CallScope } from '../../call-scope.ts';
import type { Call, InteractiveLogin, ProviderHost } from '../../provider.ts';
import { type ApiRequest, VaultClient, type VaultReply } from '../client.ts';
import { failureOf } from '../failures.ts';
import { hasPassword, mayBeMadeByAPerson, type PasswordAuth, type VaultOptions } from '../options.ts';
import { withSecondFactor } from '../second-factor.ts';
import { grantedByLogin } from '../token-api.ts';
import { openConnection } from '../transport.ts';
import { grantIn, type InteractiveContext, logsInByItself } from './method.ts';
import { oidcLogin } from './oidc.ts';
import { loginWith, passwordIn } from './simple.ts';

/** `broker login`: oidc, userpass and ldap, and the second factor that Vault may want after any of them. */
export const logInInteractively: InteractiveLogin<VaultOptions> = async (options, host, dialogue, call) => {
  const { address, namespace, auth } = options;
  if (!mayBeMadeByAPerson(auth)) throw logsInByItself(host.name, auth);
  const client = new VaultClient(() => openConnection(options, host), { provider: host.name, address }, namespace);
  const attendance: InteractiveContext = {
    host,
    dialogue,
    signal: call.signal,
    ask: asker(client, options, host, call),
  };
  try {
    const first = await (auth.method === 'oidc'
      ? oidcLogin(auth, { address, namespace }, attendance)
      : passwordLogin(auth, attendance));
    const reply = await withSecondFactor(first, attendance);
    return grantedByLogin(reply, host.clock.now(), host.name).token;
  } finally {
    client.close();
  }
};

async function passwordLogin(auth: PasswordAuth, attendance: InteractiveContext): Promise<VaultReply> {
  const { dialogue, ask, host } = attendance;
  if (hasPassword(auth)) {
    return grantIn(await ask({ what: 'login', method: 'POST', ...loginWith(passwordIn(auth, host), auth) }));
  }
  using password = await dialogue.askPassword(`Password of ${auth.username} (${auth.method})`);
  const reply = await ask({ what: 'login', method: 'POST', ...loginWith(password.reveal(), auth) });
  if (reply.status !== 400 && reply.status !== 403) return grantIn(reply);
  throw new ProviderError('login-expired', failureOf(reply).message, {
    remedy: `check the password, and username and mount in [providers.${reply.asked.provider}.auth]; then try again`,
  });
}

function asker(client: VaultClient, { address, timeout }: VaultOptions, host: ProviderHost, call: Call) {
  const underway = new CallScope(host.name);
  return (request: ApiRequest, limitMs: number = timeout) => {
    const late = () =>
      new ProviderError('transient', `Vault at ${address} did not answer within ${limitMs / 1000} s`, {
        remedy: 'see whether it is up and reachable from here',
      });
    return underway.run(call, { clock: host.clock, limitMs, late }, (signal) => client.send(request, signal));
  };
}
