import type { SecretContent } from '../providers/provider.ts';
import { isObject, objectAt, textAt } from '../providers/vault/answer.ts';

/** What a Vault tells whoever asks: without a login what is listed for everybody, with one what that may use. */
export interface VaultFacts {
  /** Without a slash at the end: `oidc` → `oidc`. */
  readonly logins: ReadonlyMap<string, string>;
  /** `secret` → `kv version 2`. */
  readonly engines: ReadonlyMap<string, string>;
}

/** Where it tells: the page that its own web interface is made from. */
export const FACTS_PATH = 'sys/internal/ui/mounts';

/** Engines of every Vault, in which no key is kept. */
const NO_KEYS = new Set(['system', 'ns_system', 'identity', 'ns_identity', 'cubbyhole', 'ns_cubbyhole']);

/** @param json of its answer, or the `data` of it. */
export function factsIn(json: unknown): VaultFacts {
  const answer = isObject(json) ? (objectAt(json, 'data') ?? json) : {};
  const mounts = (key: string, describe: (mount: Readonly<Record<string, unknown>>) => string | undefined) =>
    new Map(
      Object.entries(objectAt(answer, key) ?? {}).flatMap(([path, mount]) => {
        const what = isObject(mount) ? describe(mount) : undefined;
        return what === undefined ? [] : [[path.replace(/\/$/, ''), what] as const];
      }),
    );
  return {
    logins: mounts('auth', (mount) => textAt(mount, 'type') || undefined),
    engines: mounts('secret', (mount) => {
      const type = textAt(mount, 'type');
      if (type === '' || NO_KEYS.has(type)) return undefined;
      return type === 'kv' ? `kv version ${textAt(objectAt(mount, 'options'), 'version') || 1}` : type;
    }),
  };
}

export function factsOf(content: SecretContent): VaultFacts {
  if (content.kind === 'json') return factsIn(content.json);
  content.text.wipe();
  return factsIn(undefined);
}

/** `secret/ (kv version 2), kv/ (kv version 1)`; empty: nothing is known. */
export function listed(mounts: ReadonlyMap<string, string>): string {
  return [...mounts].map(([path, what]) => `${path}/ (${what})`).join(', ');
}

/**
 * The path as the HTTP API spells it: a person writes `secret/claude`, as `vault kv get` has it, and KV version 2 has `data/`
 * after the mount.
 */
export function apiPath(path: string, { engines }: VaultFacts): string {
  const plain = path.replace(/^\/+/, '').replace(/^v1\//, '');
  const mount = [...engines.keys()].find((each) => plain.startsWith(`${each}/`));
  if (mount === undefined || engines.get(mount) !== 'kv version 2') return path;
  const rest = plain.slice(mount.length + 1);
  return /^(?:data|metadata)\//.test(rest) ? path : `${mount}/data/${rest}`;
}
