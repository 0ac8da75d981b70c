import { AWS, AWS_SOURCE } from './aws-questions.ts';
import type { Question } from './question.ts';
import { VAULT, VAULT_LOGINS, VAULT_SOURCE } from './vault-questions.ts';

/** The provider types that setup knows to ask for; the others are written by hand. */
export type ProviderKind = 'vault' | 'aws-secrets-manager' | 'aws-ssm';

export const PROVIDER_KINDS: readonly { readonly kind: ProviderKind; readonly label: string; readonly name: string }[] =
  [
    { kind: 'vault', label: 'HashiCorp Vault or OpenBao', name: 'vault' },
    { kind: 'aws-secrets-manager', label: 'AWS Secrets Manager', name: 'aws' },
    { kind: 'aws-ssm', label: 'AWS Systems Manager Parameter Store', name: 'aws-ssm' },
  ];

/** How to reach it and log in; for Vault the questions of the login that was chosen are among them. */
export function connectionQuestions(kind: ProviderKind, method: string | undefined): readonly Question[] {
  if (kind !== 'vault') return AWS;
  return [...VAULT, ...(method === undefined ? [] : (VAULT_LOGINS[method]?.questions ?? []))];
}

export function sourceQuestions(kind: ProviderKind): readonly Question[] {
  return kind === 'vault' ? VAULT_SOURCE : [AWS_SOURCE[kind]];
}

/** Every flag there is, each once. */
export function everyQuestion(): readonly Question[] {
  const logins = Object.values(VAULT_LOGINS).flatMap(({ questions }) => questions);
  const all = [...VAULT, ...logins, ...AWS, ...VAULT_SOURCE, ...Object.values(AWS_SOURCE)];
  return [...new Map(all.map((question) => [question.flag, question])).values()];
}
