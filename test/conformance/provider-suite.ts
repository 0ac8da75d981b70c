import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FailureKind, ProviderError } from '../../src/errors.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { MemoryLoginStore } from '../fakes/memory-login-store.ts';
import {
  expectHelpful,
  expectValue,
  keyContent,
  never,
  promptly,
  readKey,
  type SuiteHarness,
  WANTED_LIFE_MS,
} from './harness.ts';
import type { Fault, ProviderHarness } from './provider-harness.ts';
import { describeLeases } from './provider-leases.ts';
import { expectNoCanary } from './redaction.ts';

const KINDS_OF: Partial<Record<Fault, readonly FailureKind[]>> = {
  unavailable: ['transient'],
  throttled: ['transient'],
  denied: ['denied'],
  misconfigured: ['misconfigured'],
  'login-expired': ['login-expired'],
  html: ['transient'],
  refused: ['transient'],
  reset: ['transient'],
  'cut-off': ['transient'],
  oversized: ['misconfigured', 'transient'],
};

/** Everything a provider promises in src/providers/provider.ts, tried on the real thing behind it. */
export function describeProvider(name: string, harness: ProviderHarness): void {
  describe(`provider conformance: ${name}`, () => {
    const canary = `CANARY${randomBytes(9).toString('hex')}`;
    let names = 0;
    let open: Provider[] = [];
    let log = new CollectingLog();
    let logins = new MemoryLoginStore();

    const suite: SuiteHarness = {
      harness,
      canary,
      get log() {
        return log;
      },
      get logins() {
        return logins;
      },
      async connect() {
        const provider = await harness.connect({ log, logins });
        open.push(provider);
        return provider;
      },
      name: () => `conformance-${++names}`,
      value: () => `sk-${canary}-${randomBytes(6).toString('hex')}`,
      async failure(work) {
        const error = await work.then(
          () => expect.fail('it resolved, but had to fail'),
          (reason: unknown) => reason,
        );
        expectNoCanary(canary, error, log);
        return error;
      },
    };

    beforeAll(() => harness.start(canary));
    afterAll(() => harness.stop());
    afterEach(() => {
      for (const provider of open) provider.close();
      expectNoCanary(canary, undefined, log);
      open = [];
      log = new CollectingLog();
      logins = new MemoryLoginStore();
    });

    describeReading(suite);
    describeFailures(suite);
    describeCancellation(suite);
    if (harness.capabilities.leases) describeLeases(suite);
  });
}

function describeReading(suite: SuiteHarness): void {
  const { harness } = suite;
  const { capabilities } = harness;

  test.runIf(capabilities.contents.includes('text'))('a text secret arrives as it was stored', async () => {
    const value = suite.value();
    const source = await harness.store(suite.name(), value);
    const provider = await suite.connect();
    const { content } = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    expect(content.kind).toBe('text');
    expect(content.kind === 'text' && content.text.reveal()).toBe(value);
  });

  test.runIf(capabilities.contents.includes('json'))(
    'a structured secret arrives with its depth, its length and its types',
    async () => {
      const stored = {
        key: suite.value(),
        deep: { er: { value: suite.value() } },
        umlaut: 'größer ✓',
        long: 'x'.repeat(20_000),
      };
      const source = await harness.store(suite.name(), stored);
      const { content } = await (await suite.connect()).issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
      expect(content.kind).toBe('json');
      expect(content.kind === 'json' && content.json).toEqual(stored);
    },
  );

  test.skipIf(capabilities.issues)(
    'a rotation shows in the next read, under a new version where there are versions',
    async () => {
      const [first, second] = [suite.value(), suite.value()];
      const name = suite.name();
      const source = await harness.store(name, keyContent(harness, first));
      const provider = await suite.connect();
      const before = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
      await harness.rotate(name, keyContent(harness, second));
      const after = await provider.issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
      expect(await readKey(provider, source)).toBe(second);
      if (capabilities.versions) {
        expect(before.version).toEqual(expect.any(String));
        expect(after.version).toEqual(expect.any(String));
        expect(after.version).not.toBe(before.version);
      } else {
        expect(after.version).toBeUndefined();
      }
      expect(after.lease).toBeUndefined();
    },
  );

  test.runIf(capabilities.serverTime)("an answer carries the provider's time", async () => {
    const source = await harness.store(suite.name(), keyContent(harness, suite.value()));
    const { serverTimeMs } = await (await suite.connect()).issue({ source, wantedLifeMs: WANTED_LIFE_MS }, never());
    expect(Math.abs((serverTimeMs ?? 0) - Date.now())).toBeLessThan(10_000);
  });

  test('parallel reads each own what they got', async () => {
    const value = suite.value();
    const source = await harness.store(suite.name(), keyContent(harness, value));
    const provider = await suite.connect();
    await Promise.all(Array.from({ length: 6 }, () => expectValue(harness, provider, source, value)));
  });

  test('a forgotten login is made again', async () => {
    const value = suite.value();
    const source = await harness.store(suite.name(), keyContent(harness, value));
    const provider = await suite.connect();
    await readKey(provider, source);
    provider.forgetLogin();
    await expectValue(harness, provider, source, value);
  });

  test('login inputs are absolute paths and names of variables, nothing secret', async () => {
    const inputs = (await suite.connect()).loginInputs();
    for (const input of inputs) expect(input).toMatch(/^\/|^[A-Za-z_][A-Za-z0-9_]*$/);
    expect(inputs.join('\n')).not.toContain(suite.canary);
  });
}

function describeFailures(suite: SuiteHarness): void {
  const { harness } = suite;

  test.skipIf(harness.capabilities.issues)('a secret that does not exist', async () => {
    const name = suite.name();
    const source = await harness.store(name, keyContent(harness, suite.value()));
    const provider = await suite.connect();
    await readKey(provider, source);
    await harness.remove(name);
    expectHelpful(await suite.failure(readKey(provider, source)), [harness.capabilities.missing]);
  });

  for (const [fault, kinds] of Object.entries(KINDS_OF)) {
    const inject = harness.faults[fault as Fault];
    test.runIf(inject !== undefined)(`${fault} is ${kinds.join(' or ')}, and passes`, async () => {
      const value = suite.value();
      const source = await harness.store(suite.name(), keyContent(harness, value));
      const provider = await suite.connect();
      const injected = await inject?.();
      try {
        const error = await suite.failure(readKey(provider, source));
        expectHelpful(error, kinds);
        if (fault === 'throttled') expect([undefined, 7_000]).toContain((error as ProviderError).retryAfterMs);
      } finally {
        await injected?.clear();
      }
      provider.forgetLogin();
      await expectValue(harness, provider, source, value);
    });
  }

  test.runIf(harness.loginChange !== undefined)('a fixed login takes effect once it is forgotten', async () => {
    const value = suite.value();
    const source = await harness.store(suite.name(), keyContent(harness, value));
    const provider = await suite.connect();
    await harness.loginChange?.spoil();
    try {
      provider.forgetLogin();
      expectHelpful(await suite.failure(readKey(provider, source)), ['login-expired', 'denied', 'misconfigured']);
    } finally {
      await harness.loginChange?.fix();
    }
    provider.forgetLogin();
    await expectValue(harness, provider, source, value);
  });
}

function describeCancellation(suite: SuiteHarness): void {
  const { harness } = suite;

  test('a signal that is aborted already fails the call with its reason', async () => {
    const source = await harness.store(suite.name(), keyContent(harness, suite.value()));
    const reason = new Error('too late');
    expect(await suite.failure(readKey(await suite.connect(), source, AbortSignal.abort(reason)))).toBe(reason);
  });

  for (const fault of ['hang', 'slow-drip'] as const) {
    const inject = harness.faults[fault];

    test.runIf(inject !== undefined)(`${fault}: an abort ends the call at once, and only that call`, async () => {
      const value = suite.value();
      const source = await harness.store(suite.name(), keyContent(harness, value));
      const provider = await suite.connect();
      const injected = await inject?.();
      const [impatient, patient] = [new AbortController(), new AbortController()];
      try {
        const other = suite.failure(readKey(provider, source, patient.signal));
        const call = suite.failure(readKey(provider, source, impatient.signal));
        await injected?.reached;
        const reason = new Error('the asker hung up');
        impatient.abort(reason);
        expect(await promptly(call)).toBe(reason);
        expect(await Promise.race([other, pause(50)])).toBe('paused');
        patient.abort(reason);
        expect(await promptly(other)).toBe(reason);
      } finally {
        await injected?.clear();
      }
      await expectValue(harness, provider, source, value);
    });

    test.runIf(inject !== undefined)(`${fault}: close() ends what is under way`, async () => {
      const source = await harness.store(suite.name(), keyContent(harness, suite.value()));
      const provider = await suite.connect();
      const injected = await inject?.();
      try {
        const call = suite.failure(readKey(provider, source));
        await injected?.reached;
        provider.close();
        expect(await promptly(call)).toBeInstanceOf(Error);
        expect(await promptly(suite.failure(readKey(provider, source)))).toBeInstanceOf(Error);
      } finally {
        await injected?.clear();
      }
    });
  }
}

function pause(ms: number): Promise<'paused'> {
  return new Promise((resolve) => setTimeout(() => resolve('paused'), ms));
}
