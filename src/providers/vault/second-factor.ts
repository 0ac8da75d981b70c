import { ProviderError } from '../../errors.ts';
import { isObject, type Json, objectAt, textAt } from './answer.ts';
import { mayBeMadeByAPerson, type VaultAuth } from './auth-schema.ts';

/** One way to give a second factor: a code, or an approval on a device where `usesPasscode` is false. */
export interface Factor {
  readonly id: string;
  /** totp, duo, okta, pingid. */
  readonly type: string;
  readonly name: string;
  readonly usesPasscode: boolean;
}

/** What the operators demand of this login: any one of the factors. */
export interface Enforcement {
  readonly name: string;
  readonly factors: readonly Factor[];
}

/** A login that Vault holds back until every enforcement has its factor. */
export interface HeldBack {
  readonly requestId: string;
  readonly enforcements: readonly Enforcement[];
}

/**
 * What stands in the place of the token where login MFA is enforced
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

/** The daemon has nobody to ask: it says who can give the factor, or what has to change if nobody should. */
export function secondFactorWanted(provider: string, auth: VaultAuth): ProviderError {
  const message = 'Vault wants a second factor for this login';
  if (mayBeMadeByAPerson(auth)) {
    return new ProviderError('login-expired', message, { remedy: `run: broker login ${provider}, which asks for it` });
  }
  return new ProviderError('misconfigured', message, {
    remedy: `have mount ${mountOf(auth)} exempted from login MFA, or use one without it in [providers.${provider}.auth]`,
  });
}

function mountOf(auth: VaultAuth): string {
  return auth.method === 'token' ? 'token' : auth.mount;
}
