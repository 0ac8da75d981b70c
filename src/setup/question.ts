import type { Machine } from './machine.ts';

/** One value of the configuration: a flag for scripts, a question for people. */
export interface Question {
  /** As commander calls it: `role-id-file`. */
  readonly flag: string;
  /** The table and key that the answer goes to. */
  readonly into: 'options' | 'auth' | 'source';
  readonly key: string;
  readonly ask: string;
  /** Without it nothing works; else it is asked for only if `asked`. */
  readonly needed?: true;
  readonly asked?: true;
  readonly example?: string;
  /** A path: made absolute. */
  readonly isFile?: true;
  readonly isNumber?: true;
  /** Another question of which one answer is enough. */
  readonly instead?: string;
  /** What a variable of this shell says. Also taken where nobody can be asked. */
  readonly found?: (machine: Machine) => string | undefined;
  /** What would be likely: only ever suggested. */
  readonly guess?: (machine: Machine) => string | undefined;
}
