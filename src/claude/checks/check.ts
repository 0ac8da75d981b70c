import type { Facts } from '../doctor/gather.ts';
import type { ProfileSyntax } from '../shell/profile-library.ts';

/** error: something will fail · warning: it works, at a cost or not for long · info: good to know. */
export type Severity = 'error' | 'warning' | 'info';

export interface Finding {
  /** Stable; docs/doctor.md has an entry for each. */
  readonly id: string;
  readonly severity: Severity;
  readonly title: string;
  readonly cost: string;
  /** One thing to do. */
  readonly remedy: string;
  /** `file` or `file:line`. */
  readonly where?: string;
  readonly fix?: Fix;
}

/** What `--fix` can do; profiles are only touched with `--yes`. */
export type Fix =
  | { readonly kind: 'chmod'; readonly file: string; readonly mode: number }
  | { readonly kind: 'remove-setting'; readonly file: string; readonly path: readonly string[] }
  | {
      readonly kind: 'remove-assignment';
      readonly file: string;
      readonly line: number;
      /** The variable that this line must still set, or nothing is touched. */
      readonly name: string;
      readonly syntax: ProfileSyntax;
    };

type Told<T, Value = string> = Value | ((found: T, facts: Facts) => Value);

/** One trap: a row of a table. Never throws, puts no secret into a finding, and knows only what is in the facts. */
interface Row<T> {
  readonly id: string;
  readonly severity: Told<T, Severity>;
  /** What the trap is about: nothing, one thing, or a list of which each gets a finding. */
  readonly when: (facts: Facts) => T | readonly T[] | undefined | false;
  readonly title: Told<T>;
  readonly cost: Told<T>;
  readonly remedy: Told<T>;
  readonly where?: Told<T, string | undefined>;
  readonly fix?: Told<T, Fix | undefined>;
}

export interface Check {
  readonly id: string;
  readonly find: (facts: Facts) => Finding[];
}

/** A row whose texts know the type of what its `when` finds. */
export function check<T>({ id, when, ...row }: Row<T>): Check {
  const find = (facts: Facts): Finding[] => {
    const found = when(facts);
    const each = (found === undefined || found === false ? [] : Array.isArray(found) ? found : [found]) as readonly T[];
    return each.map((one) => {
      const tell = <Value>(told: Told<T, Value>): Value =>
        typeof told === 'function' ? (told as (found: T, facts: Facts) => Value)(one, facts) : told;
      const where = tell(row.where);
      const fix = tell(row.fix);
      return {
        id,
        severity: tell(row.severity),
        title: tell(row.title),
        cost: tell(row.cost),
        remedy: tell(row.remedy),
        ...(where === undefined ? {} : { where }),
        ...(fix === undefined ? {} : { fix }),
      };
    });
  };
  return { id, find };
}

export function findingsOf(checks: readonly Check[], facts: Facts): Finding[] {
  return checks.flatMap(({ find }) => find(facts));
}

/** The exit code of `broker doctor`: 0 nothing, 1 warnings, 2 something will fail. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ severity }) => severity === 'error')) return 2;
  return findings.some(({ severity }) => severity === 'warning') ? 1 : 0;
}
