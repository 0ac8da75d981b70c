import type { CredentialConfig, ProviderConfig } from './config.ts';
import { nearOrAll } from './explain.ts';
import type { Findings } from './faults.ts';
import type { BorrowedCredential, ProviderSchemas } from './schema.ts';
import { tomlValue } from './toml.ts';

interface Named {
  readonly providers: ReadonlyMap<string, ProviderConfig>;
  readonly credentials: ReadonlyMap<string, CredentialConfig>;
}

/** What a provider needs of other credentials, as its type tells. */
export function borrowedBy(
  { type, options }: ProviderConfig,
  types: readonly ProviderSchemas[],
): readonly BorrowedCredential[] {
  return types.find((each) => each.type === type)?.borrows?.(options) ?? [];
}

/**
 * A provider may log in with the key of a credential, which has a provider that may do the same: every name has to be there,
 * be one value, and lead back to nobody.
 *
 * @param names of all credentials, of those with faults of their own too.
 */
export function checkBorrowing(
  named: Named,
  names: readonly string[],
  types: readonly ProviderSchemas[],
  findings: Findings,
): void {
  const { providers, credentials } = named;
  const borrowed = (name: string | undefined) => {
    const provider = name === undefined ? undefined : providers.get(name);
    return provider === undefined ? [] : borrowedBy(provider, types);
  };
  const told = new Set<string>();
  for (const provider of providers.keys()) {
    for (const { path, credential } of borrowed(provider)) {
      const at = ['providers', provider, ...path];
      if (!names.includes(credential)) {
        findings.add({ path: at, ...noSuchCredential(credential, names), absence: true });
        continue;
      }
      const unfit = whyNotLent(credentials.get(credential));
      if (unfit !== undefined) findings.add({ path: at, ...unfit });
      const circle = circleFrom(provider, credential, (from) => borrowed(credentials.get(from)?.provider), credentials);
      if (circle === undefined || circle.some((each) => told.has(each))) continue;
      for (const each of circle) told.add(each);
      const way = [...circle, circle[0]].join(' → ');
      const message = `each of these needs the key of the next before it can be fetched: ${way}`;
      findings.add({
        path: at,
        message,
        remedy: 'let one of them log in with something else: a file, an environment variable, a command',
      });
    }
  }
}

function whyNotLent(credential: CredentialConfig | undefined): { message: string; remedy: string } | undefined {
  const name = tomlValue(credential?.name ?? '');
  if (credential?.fields !== undefined) {
    const message = `the credential ${name} has several values`;
    return { message, remedy: 'name one with field instead of fields, for this provider to log in with' };
  }
  if (credential?.scope !== 'session') return undefined;
  return {
    message: `the credential ${name} is one for each client's session`,
    remedy: 'name one that is shared, for this provider to log in with',
  };
}

/** The credentials on the way from `first` back to a key of `provider` itself; undefined: there is no such way. */
function circleFrom(
  provider: string,
  first: string,
  next: (credential: string) => readonly BorrowedCredential[],
  credentials: Named['credentials'],
): readonly string[] | undefined {
  const seen = new Set<string>();
  const follow = (way: readonly string[]): readonly string[] | undefined => {
    const last = way.at(-1) ?? '';
    if (credentials.get(last)?.provider === provider) return way;
    if (seen.has(last)) return undefined;
    seen.add(last);
    for (const { credential } of next(last)) {
      const found = follow([...way, credential]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return follow([first]);
}

function noSuchCredential(credential: string, names: readonly string[]): { message: string; remedy: string } {
  const shown = credential.slice(0, 64);
  return {
    message: `there is no credential ${tomlValue(shown)}`,
    remedy: `name ${nearOrAll(credential, names)}, or add [credentials.${shown}]`,
  };
}
