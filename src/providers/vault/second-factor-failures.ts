import type { FailureKind } from '../../errors.ts';

/** Vault names enforcement and methods around what a person wants to know: which of their factors failed, and why. */
export function reasonsOf(errors: readonly string[]): readonly string[] {
  return errors
    .map((error) => error.replace(/^failed to satisfy enforcement .*?\. error: /s, ''))
    .map((error) => error.replace(/\n\s*\* login MFA validation failed for methodID: \[[^\]]*\]/, ''));
}

/** How Vault refuses a second factor, and what the person can do about it. */
export function refusedFactor(
  status: number,
  provider: string,
  words: string,
): readonly [kind: FailureKind, message: string, remedy: string] {
  const message = `Vault does not accept the second factor (${status})`;
  return ['login-expired', message, remedyFor(status, `broker login ${provider}`, words)];
}

function remedyFor(status: number, command: string, words: string): string {
  if (status !== 403) return `start again: ${command}`;
  if (/not present in entity/.test(words)) {
    return `have Vault's operators enrol you (identity/mfa/method/totp/admin-generate); then: ${command}`;
  }
  if (/maximum TOTP validation attempts/.test(words)) return `wait a minute, then try again: ${command}`;
  const isCode = /passcode|credentials/.test(words);
  return `try again${isCode ? ', with a code that was not used yet' : ''}: ${command}`;
}
