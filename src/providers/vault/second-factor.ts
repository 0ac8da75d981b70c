import type { Json } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import { LOGIN_LIMIT_MS } from '../oidc-callback.ts';
import { isObject, objectAt, textAt, type VaultReply } from './answer.ts';
import { failureOf, successIn } from './failures.ts';
import type { InteractiveContext } from './logins/method.ts';
import { mayBeMadeByAPerson, type VaultAuth } from './options.ts';

/** One way to give a second factor: a code, or an approval on a device where `usesPasscode` is false. */
interface Factor {
  readonly id: string;
  /** totp, duo, okta, pingid. */
  readonly type: string;
  readonly name: string;
  readonly usesPasscode: boolean;
}

/** What the operators demand of this login: any one of the factors. */
interface Enforcement {
  readonly name: string;
  readonly factors: readonly Factor[];
}

/** A login that Vault holds back until every enforcement has its factor. */
interface HeldBack {
  readonly requestId: string;
  readonly enforcements: readonly Enforcement[];
}

/**
 * What Vault sends in the place of the token where login MFA is enforced
 * (https://developer.hashicorp.com/vault/api-docs/system/mfa/validate); undefined if there is a token or nothing.
 */
export function heldBackIn(json: Json | undefined): HeldBack | undefined {
  const requirement = objectAt(objectAt(json, 'auth'), 'mfa_requirement');
  if (requirement === undefined) return undefined;
  const constraints = Object.entries(objectAt(requirement, 'mfa_constraints') ?? {});
  return {
    requestId: textAt(requirement, 'mfa_request_id'),
    enforcements: constraints.map(([name, constraint]) => ({ name, factors: factorsOf(constraint) })),
  };
}

function factorsOf(constraint: unknown): readonly Factor[] {
  const any = isObject(constraint) && Array.isArray(constraint['any']) ? constraint['any'] : [];
  return any.filter(isObject).map((factor) => ({
    id: textAt(factor, 'id'),
    type: textAt(factor, 'type'),
    name: textAt(factor, 'name'),
    usesPasscode: factor['uses_passcode'] === true,
  }));
}

/** The daemon cannot ask a person: it says how a person gives the factor, or what has to change if none should. */
export function secondFactorWanted(provider: string, auth: VaultAuth): ProviderError {
  const message = 'Vault wants a second factor for this login';
  if (mayBeMadeByAPerson(auth)) {
    const remedy = `run: broker login ${provider}, which asks for it`;
    return new ProviderError('login-expired', message, { remedy, isRefusedLogin: true });
  }
  return new ProviderError('misconfigured', message, {
    isRefusedLogin: true,
    remedy: `have mount ${mountOf(auth)} exempted from login MFA, or use one without it in [providers.${provider}.auth]`,
  });
}

function mountOf(auth: VaultAuth): string {
  return auth.method === 'token' ? 'token' : auth.mount;
}

/** Vault itself counts attempts and locks longer with each; a person who mistypes must not run into that. */
const MOST_ATTEMPTS = 3;

/**
 * The second factor, if Vault wants one before it hands out the token: a code that is asked for, or an approval on the
 * person's device, which the request waits for.
 *
 * @throws ProviderError login-expired if it is not accepted.
 */
export async function withSecondFactor(reply: VaultReply, context: InteractiveContext): Promise<VaultReply> {
  const held = heldBackIn(reply.json);
  if (held === undefined) return reply;
  const factors: Factor[] = [];
  for (const enforcement of held.enforcements) factors.push(await factorFor(enforcement, factors, context));
  for (let attempt = 1; ; attempt += 1) {
    const answer = await validate(held, factors, context);
    if (answer.status === 200) return successIn(answer);
    const failure = failureOf(answer);
    const mayTryAgain = context.dialogue.canAskAgain && attempt < MOST_ATTEMPTS;
    if (answer.status !== 403 || !mayTryAgain || !factors.some(({ usesPasscode }) => usesPasscode)) throw failure;
    context.dialogue.say(`${failure.message}. A code is good once; try the next one.`);
  }
}

/** A code is good for one enforcement only, so that what was chosen for another is left out while there is a choice. */
async function factorFor(
  { name, factors }: Enforcement,
  chosen: readonly Factor[],
  { dialogue, host }: InteractiveContext,
): Promise<Factor> {
  const [first] = factors;
  if (first === undefined) {
    throw new ProviderError('misconfigured', `Vault's login enforcement "${plain(name)}" names no second factor`, {
      remedy: `have its operators correct it; broker login ${host.name} cannot satisfy it`,
    });
  }
  const unused = factors.filter(({ id }) => chosen.every((each) => each.id !== id));
  if (unused.length <= 1) return unused[0] ?? first;
  const choices = unused.map(({ id, name: called, type }) => ({ id, name: plain(called), type: plain(type) }));
  const { id } = await dialogue.chooseFactor('Which second factor?', choices);
  return unused.find((factor) => factor.id === id) ?? first;
}

async function validate(
  { requestId }: HeldBack,
  chosen: readonly Factor[],
  { dialogue, ask }: InteractiveContext,
): Promise<VaultReply> {
  const factors = [...new Map(chosen.map((factor) => [factor.id, factor])).values()];
  const payload: Record<string, readonly string[]> = {};
  const secrets: string[] = [];
  for (const factor of factors) {
    const called = [factor.type, factor.name].filter((word) => word !== '').map(plain);
    if (!factor.usesPasscode) {
      dialogue.say(`Approve the login on your device (${called.join(' ')}); waiting for it.`);
      payload[factor.id] = [''];
      continue;
    }
    using code = await dialogue.askPasscode(`Code of your second factor (${called.join(' ')})`);
    const passcode = code.reveal().replaceAll(/\s+/g, '');
    payload[factor.id] = [passcode];
    secrets.push(passcode);
  }
  const body = { mfa_request_id: requestId, mfa_payload: payload };
  const waits = factors.some(({ usesPasscode }) => !usesPasscode) ? LOGIN_LIMIT_MS : undefined;
  return await ask({ what: 'second-factor', method: 'POST', path: 'sys/mfa/validate', body, secrets }, waits);
}

/** Names are the operators' own; a terminal is to show them and nothing else. */
function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 64);
}
