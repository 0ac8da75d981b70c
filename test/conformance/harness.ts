import { expect } from 'vitest';
import { type FailureKind, ProviderError } from '../../src/errors.ts';
import type { Provider } from '../../src/providers/provider.ts';
import type { CollectingLog } from '../fakes/collecting-log.ts';
import type { MemoryLoginStore } from '../fakes/memory-login-store.ts';
import type { ProviderHarness } from './provider-harness.ts';

export const WANTED_LIFE_MS = 600_000;
/** Long enough for a busy machine, far below any library's own time limit. */
const PROMPTLY_MS = 2_000;

/** What one test works with; a provider made by `connect` is closed after the test. */
export interface SuiteHarness {
  readonly harness: ProviderHarness;
  readonly canary: string;
  readonly log: CollectingLog;
  readonly logins: MemoryLoginStore;
  connect(): Promise<Provider>;
  /** A name not used before. */
  name(): string;
  /** A secret value with the canary in it. */
  value(): string;
  /** The error that `work` rejects with, already searched for canaries. */
  failure(work: Promise<unknown>): Promise<unknown>;
}

/** Reads a text secret, or the `key` field of a structured one, and wipes what it got. */
export async function readKey(provider: Provider, source: unknown, signal = new AbortController().signal) {
  const { content } = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, { signal });
  if (content.kind === 'json') return String(content.json['key']);
  const text = content.text.reveal();
  content.text.wipe();
  return text;
}

/** Reads what was stored; from what issues its secrets itself, one that was not seen before. */
export async function expectValue(harness: ProviderHarness, provider: Provider, source: unknown, value: string) {
  if (!harness.capabilities.issues) return expect(await readKey(provider, source)).toBe(value);
  const { content } = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
  const json = content.kind === 'json' ? content.json : { key: content.text.reveal() };
  const texts = Object.values(json).filter((each) => typeof each === 'string' && each.length >= 16);
  expect(texts.length).toBeGreaterThan(0);
}

/** What the suite stores where the form does not matter: a text if the provider has texts, else an object. */
export function keyContent(harness: ProviderHarness, value: string) {
  return harness.capabilities.contents.includes('text') ? value : { key: value };
}

/** One line that says what failed, and what to do unless waiting is what there is to do. */
export function expectHelpful(error: unknown, kinds: readonly FailureKind[]): asserts error is ProviderError {
  expect(error).toBeInstanceOf(ProviderError);
  const { kind, message, remedy } = error as ProviderError;
  expect(kinds, message).toContain(kind);
  for (const text of [message, remedy ?? '']) expect(text).not.toMatch(/[\n\r]|undefined|\[object|NaN/);
  expect(message).toMatch(/\S/);
  expect(message.length).toBeLessThanOrEqual(400);
  if (kind !== 'transient') expect(remedy).toMatch(/\S/);
}

export async function promptly<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not over after ${PROMPTLY_MS} ms`)), PROMPTLY_MS);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

export function never() {
  return { signal: new AbortController().signal };
}
