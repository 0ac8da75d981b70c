/** What a policy allows: paths as Vault's policies spell them, a trailing `*` matching any rest. */
type PolicyRules = readonly string[];

/** What Vault's own `default` policy grants, as far as a client of the broker needs it. Revoking a lease is not in it. */
const DEFAULT_RULES: PolicyRules = [
  'auth/token/lookup-self',
  'auth/token/renew-self',
  'auth/token/revoke-self',
  'sys/leases/renew',
  'sys/leases/lookup',
  'sys/wrapping/*',
  'cubbyhole/*',
];

/** Minimal policies: a path is allowed or it is not; capabilities are not told apart. */
export class Policies {
  readonly #rules = new Map<string, PolicyRules>([['default', DEFAULT_RULES]]);

  write(name: string, rules: PolicyRules): void {
    this.#rules.set(name, rules);
  }

  allows(policies: readonly string[], path: string): boolean {
    if (policies.includes('root')) return true;
    return policies.some((name) => (this.#rules.get(name) ?? []).some((rule) => matches(rule, path)));
  }
}

function matches(rule: string, path: string): boolean {
  return rule.endsWith('*') ? path.startsWith(rule.slice(0, -1)) : rule === path;
}
