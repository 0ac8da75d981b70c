import { firstLine } from '../../platform/text.ts';
import type { Preset } from './presets.ts';

/** What is run, and what a message about it may say. */
export interface RunSubject {
  readonly provider: string;
  /** What is known of the tool; undefined: nothing. */
  readonly preset?: Preset | undefined;
  /** Program and arguments. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limitMs: number;
  readonly deniedStatus: readonly number[];
  /** Known secrets that the command could echo: values of variables and flags it was given. */
  readonly secrets: readonly string[];
}

/** For messages. */
export function shown(program: string): string {
  return firstLine(program, []);
}

export function bounded(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
