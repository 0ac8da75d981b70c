import { ProviderError } from '../../../errors.ts';
import { within } from '../../../platform/waiting.ts';
import type { InteractiveLogin } from '../../provider.ts';
import type { VaultReply } from '../answer.ts';
import { VaultClient, type VaultRequest } from '../client.ts';
import { failureOf, successIn, tooSlow } from '../failures.ts';
import { hasPassword, mayBeMadeByAPerson, type PasswordAuth, type VaultOptions } from '../options.ts';
import { withSecondFactor } from '../second-factor.ts';
import { grantedByLogin } from '../token-api.ts';
import type { InteractiveContext } from './method.ts';
import { oidcLogin } from './oidc.ts';
import { logsInUnattended } from './prepare.ts';
import { loginWith, passwordIn } from './simple.ts';

/** `broker login`: oidc, userpass and ldap, and the second factor that Vault may want after any of them. */
export const logInInteractively: InteractiveLogin<VaultOptions> = async (options, host, dialogue, { signal }) => {
  const { address, namespace, auth, timeout } = options;
  if (!mayBeMadeByAPerson(auth)) throw logsInUnattended(host.name, auth);
  const client = new VaultClient(options, host);
  const late = (limitMs: number) => tooSlow(client.place, limitMs, 'see whether it is up and reachable from here');
  const context: InteractiveContext = {
    host,
    dialogue,
    signal,
    ask: (request, limitMs = timeout) =>
      within([signal], { clock: host.clock, limitMs, late: () => late(limitMs) }, (own) => client.send(request, own)),
  };
  try {
    const first = await (auth.method === 'oidc'
      ? oidcLogin(auth, { address, namespace }, context)
      : passwordLogin(auth, context));
    const reply = await withSecondFactor(first, context);
    return grantedByLogin(reply, host.clock.now(), host.name).token;
  } finally {
    client.close();
  }
};

/** It may put a prompt on somebody's phone. */
function onceWith(password: string, auth: PasswordAuth): VaultRequest {
  return { what: 'login', method: 'POST', ...loginWith(password, auth), isRepeatable: false };
}

async function passwordLogin(auth: PasswordAuth, { dialogue, ask, host }: InteractiveContext): Promise<VaultReply> {
  if (hasPassword(auth)) {
    return successIn(await ask(onceWith(passwordIn(auth, host), auth)));
  }
  using password = await dialogue.askPassword(`Password of ${auth.username} (${auth.method})`);
  const reply = await ask(onceWith(password.reveal(), auth));
  if (reply.status !== 400 && reply.status !== 403) return successIn(reply);
  const failure = failureOf(reply);
  if (failure.kind === 'transient') throw failure;
  throw new ProviderError('login-expired', failure.message, {
    remedy: `check the password, and username and mount in [providers.${reply.asked.provider}.auth]; then try again`,
    concerns: 'login',
  });
}
