import type { Fault } from '../../fakes/dev-vault/faults.ts';
import type { Verdict } from './answer.ts';

/** What Vault may answer to the second factor of `broker login`, after a password that was right. */
export interface LoginAnswer {
  readonly name: string;
  readonly verdict: Exclude<Verdict, 'unusable'> | 'usage';
  /** The answer to sys/mfa/validate; without one the development Vault's own. */
  readonly fault?: Fault;
  /** Without one nothing but the password is handed in. */
  readonly flags?: readonly string[];
}

const METHOD = 'd16fd3c2-50de-0b9b-eed3-0301dadeca10';
const refused = (...reasons: readonly string[]): Fault => {
  const all = [...reasons, `login MFA validation failed for methodID: [${METHOD}]`];
  const words = `failed to satisfy enforcement people. error: ${all.length} errors occurred:\n\t* ${all.join('\n\t* ')}\n\n`;
  return { kind: 'answer', status: 403, body: JSON.stringify({ errors: [words] }) };
};

export const loginAnswers: readonly LoginAnswer[] = [
  { name: 'a wrong or used code', verdict: 'login-expired', fault: refused('failed to validate TOTP passcode') },
  {
    name: 'a wrong or used code (OpenBao)',
    verdict: 'login-expired',
    fault: refused('MFA credentials not supplied or incorrect'),
  },
  {
    name: 'too many wrong codes',
    verdict: 'login-expired',
    fault: refused(
      'maximum TOTP validation attempts 6 exceeded the allowed attempts 5. Please try again in 30s seconds',
    ),
  },
  {
    name: 'somebody who is not enrolled',
    verdict: 'login-expired',
    fault: refused(`MFA secret for method ID "${METHOD}" not present in entity "099e9624-2b8d-e326-7472-fa04e816fd36"`),
  },
  { name: 'a push that was declined', verdict: 'login-expired', fault: refused('push declined') },
  {
    name: 'a login that was begun too long ago',
    verdict: 'login-expired',
    fault: { kind: 'answer', status: 400, body: JSON.stringify({ errors: ['invalid request ID'] }) },
  },
  {
    name: 'Vault out of reach of the push service',
    verdict: 'transient',
    fault: { kind: 'answer', status: 500, body: JSON.stringify({ errors: ['internal error'] }) },
  },
  { name: 'no code, and no terminal', verdict: 'usage', flags: [] },
];
