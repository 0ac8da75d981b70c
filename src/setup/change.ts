import { tomlValue } from '../config/toml.ts';

/** One thing that setup would do. */
export interface Change {
  readonly what: 'provider' | 'credential' | 'default' | 'client' | 'service' | 'guard';
  /** A key of the configuration, a settings file, a manager of services. */
  readonly where: string;
  /** null: it is not there. */
  readonly before: unknown;
  /** null: it goes. */
  readonly after: unknown;
}

/** Something that is there gets another value, or goes: a person has to say so. */
export function replaces({ before }: Change): boolean {
  return before !== null;
}

/** `provider: providers.vault.address: "…" → "…"`, or `credential: credentials.work.field = "key" (new)`. */
export function describeChange({ what, where, before, after }: Change): string {
  if (before === null) return `${what}: ${where} = ${tomlValue(after)} (new)`;
  return `${what}: ${where}: ${tomlValue(before)} → ${after === null ? 'removed' : tomlValue(after)}`;
}
