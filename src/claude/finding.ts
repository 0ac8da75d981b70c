import type { Facts } from './facts.ts';
import type { ProfileSyntax } from './profile-assignments.ts';

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
      readonly kind: 'take-line-out';
      readonly file: string;
      readonly line: number;
      readonly lastLine: number;
      /** The variable that has to stand there, or nothing is touched. */
      readonly name: string;
      readonly syntax: ProfileSyntax;
    };

/** One trap. Never throws, prints nothing, puts no secret into a finding. */
export type Check = (facts: Facts) => Finding[];
