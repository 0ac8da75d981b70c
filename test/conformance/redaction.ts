import { inspect } from 'node:util';
import { expect } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import type { CollectingLog } from '../fakes/collecting-log.ts';

const EVERYTHING = {
  depth: Number.POSITIVE_INFINITY,
  showHidden: true,
  getters: true,
  maxStringLength: null,
  maxArrayLength: null,
} as const;

/** Fails if the canary shows, in any spelling, in anything that an error or a log line could ever print. */
export function expectNoCanary(canary: string, error: unknown, log: CollectingLog): void {
  const shown = `${[...spellings(error)].join('\n')}\n${log.text()}`;
  const bytes = Buffer.from(canary);
  for (const disguise of [canary, bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, '').slice(0, -2)]) {
    expect(shown.includes(disguise), `the canary shows in: ${shown.slice(0, 2_000)}`).toBe(false);
  }
}

function* spellings(error: unknown): Generator<string> {
  const seen = new Set<unknown>();
  for (let current = error; current !== undefined && !seen.has(current); ) {
    seen.add(current);
    yield inspect(current, EVERYTHING);
    if (!(current instanceof Error)) return;
    yield current.message;
    yield current.stack ?? '';
    yield JSON.stringify({ ...current });
    if (current instanceof BrokerError) yield current.remedy ?? '';
    current = current.cause;
  }
}
