import { BrokerError } from '../errors.ts';

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

/** All faults as one error, for whoever can only throw one. */
export function configError(faults: readonly ConfigFault[]): BrokerError {
  const [first] = faults;
  if (faults.length === 1 && first !== undefined) {
    const place = first.line === undefined ? first.file : `${first.file}:${first.line}`;
    const key = first.key === undefined ? '' : `${first.key}: `;
    return new BrokerError('ERR_CONFIG', `${place}: ${key}${first.message}`, { remedy: first.remedy });
  }
  const list = faults.map((fault) => `\n${describeFault(fault)}`).join('');
  return new BrokerError('ERR_CONFIG', `the configuration has ${faults.length} faults${list}`, {
    remedy: 'mend them and run: broker config validate',
  });
}
