import path from 'node:path';
import { BrokerError } from '../errors.ts';
import type { Question } from './question.ts';

export interface Surroundings {
  readonly homeDir: string;
  readonly cwd: string;
}

/** An answer as the configuration wants it: a number, an absolute path (below the home folder from `~`), or text. */
export function normalise(question: Question, answer: string, surroundings: Surroundings): string | number {
  const value = answer.trim();
  if (question.isNumber) {
    if (/^\d{1,9}$/.test(value)) return Number(value);
    throw new BrokerError('ERR_USAGE', `--${question.flag} takes a number`, {
      remedy: `write --${question.flag} 8250`,
    });
  }
  return question.isFile ? absolute(value, surroundings) : value;
}

export function absolute(file: string, { homeDir, cwd }: Surroundings): string {
  if (file.startsWith('~/')) return file;
  const full = path.resolve(cwd, file);
  return full.startsWith(`${homeDir}/`) && homeDir !== '/' ? `~${full.slice(homeDir.length)}` : full;
}
