import { BrokerError } from '../errors.ts';
import { maskShapes } from './effective.ts';
import type { Contributions } from './environment.ts';
import { dotted, type KeyPath, pathId, type TomlPositions } from './positions.ts';

/** One thing that is wrong with a configuration file. No part of it ever holds a secret from the file. */
export interface ConfigFault {
  readonly file: string;
  /** Counted from 1; undefined where the fault is the file itself, or comes from the environment. */
  readonly line: number | undefined;
  /** Dotted key path; undefined where no key is meant. */
  readonly key: string | undefined;
  /** What is wrong. */
  readonly message: string;
  /** What to write instead, or the command to run. */
  readonly remedy: string;
}

/** `FILE:LINE: KEY: what is wrong`, as editors and grep read it, and below it what to do. */
export function describeFault(fault: ConfigFault): string {
  const place = fault.line === undefined ? fault.file : `${fault.file}:${fault.line}`;
  const key = fault.key === undefined ? '' : `${fault.key}: `;
  return `${place}: ${key}${fault.message}\n  hint: ${fault.remedy}`;
}

/** In the order of the file, each only once. */
export function inFileOrder(faults: readonly ConfigFault[]): readonly ConfigFault[] {
  const unique = new Map(faults.map((fault) => [describeFault(fault), fault]));
  return [...unique.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

/** All faults as one error. */
export function configError(faults: readonly ConfigFault[]): BrokerError {
  const [first] = faults;
  if (faults.length === 1 && first !== undefined) {
    const place = first.line === undefined ? first.file : `${first.file}:${first.line}`;
    const key = first.key === undefined ? '' : `${first.key}: `;
    return new BrokerError('ERR_CONFIG', `${place}: ${key}${first.message}`, { remedy: first.remedy });
  }
  const list = faults.map((fault) => `\n${describeFault(fault)}`).join('');
  return new BrokerError('ERR_CONFIG', `the configuration has ${faults.length} faults${list}`, {
    remedy: 'fix them, then run: broker config validate',
  });
}

/** What is wrong at one place of the file, before it is known which line that is. */
export interface KeyFault {
  readonly path: KeyPath;
  readonly message: string;
  readonly remedy: string;
  /** Something is missing. Not reported beside syntax errors, which may have swallowed it. */
  readonly absence?: boolean;
}

/** Collects what is wrong. */
export class Findings {
  readonly faults: KeyFault[] = [];
  readonly warnings: KeyFault[] = [];
  readonly #isIncomplete: boolean;

  /** @param isIncomplete parts of the file could not be read. */
  constructor(isIncomplete: boolean) {
    this.#isIncomplete = isIncomplete;
  }

  add(...findings: readonly KeyFault[]): void {
    this.faults.push(...findings.filter(({ absence }) => absence !== true || !this.#isIncomplete));
  }

  warn(finding: KeyFault): void {
    this.warnings.push(finding);
  }
}

interface Whereabouts {
  readonly file: string;
  readonly positions: TomlPositions;
  readonly contributions: Contributions;
}

/** Says where a finding is; `line` where that is known already. */
export function locate(found: KeyFault & { readonly line?: number }, where: Whereabouts): ConfigFault {
  const { path, message, remedy } = found;
  const variable = where.contributions.get(pathId(path));
  return {
    file: where.file,
    line: found.line ?? where.positions.lineNear(path),
    key: path.length === 0 ? undefined : maskShapes(dotted(path)),
    message: maskShapes(variable === undefined ? message : `${message} (from the environment variable ${variable})`),
    remedy: maskShapes(variable === undefined ? remedy : `correct or unset ${variable}, or ${remedy}`),
  };
}
