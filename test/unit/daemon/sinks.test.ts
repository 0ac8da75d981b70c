import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KeptKey } from '../../../src/broker/lending.ts';
import type { Config, CredentialConfig } from '../../../src/config/config.ts';
import { SecretBytes } from '../../../src/credential/secret.ts';
import { Sinks } from '../../../src/daemon/sinks.ts';
import { BrokerError } from '../../../src/errors.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { hasMemoryFolder, memoryFolder } from '../../fakes/memory-folder.ts';

const MINUTE = 60_000;
const IDLE_AFTER = 60 * MINUTE;

/** A broker with one credential, whose provider issues tokens of ten minutes. */
class OneKey {
  value = 'token-1';
  lifeMs = 10 * MINUTE;
  fault: BrokerError | undefined;
  timesServed = 0;
  readonly asks: { readonly had: string | undefined; readonly isSpent: boolean }[] = [];
  #clock: FakeClock;
  #listener: () => void = () => {};
  #taken = false;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async keep(_name: string, _call: unknown, had: string | undefined, isSpent: boolean): Promise<KeptKey> {
    this.asks.push({ had, isSpent });
    if (this.fault !== undefined) throw this.fault;
    if (isSpent && had === this.value) this.rotate();
    this.#taken = false;
    return {
      secret: SecretBytes.fromString(this.value),
      version: this.value,
      expiresAtMs: this.#clock.now() + this.lifeMs,
    };
  }

  glance() {
    return { version: this.#taken ? undefined : this.value, timesServed: this.timesServed };
  }

  onEvents(listener: () => void) {
    this.#listener = listener;
    return () => {};
  }

  rotate(): void {
    const [, count = '0'] = this.value.split('-');
    this.value = `token-${Number(count) + 1}`;
  }

  takeAway(): void {
    this.#taken = true;
    this.#listener();
  }

  tell(): void {
    this.#listener();
  }
}

let folder: string;
let file: string;
let clock: FakeClock;
let broker: OneKey;
let log: CollectingLog;
let sinks: Sinks;

beforeEach(() => {
  if (!hasMemoryFolder) return;
  folder = memoryFolder();
  file = join(folder, 'token');
  clock = new FakeClock(1_800_000_000_000);
  broker = new OneKey(clock);
  log = new CollectingLog();
  sinks = new Sinks({
    broker,
    clock,
    log,
    pathOf: (written) => written.replace('{runtime}', folder),
    uid: process.getuid?.() ?? 0,
  });
});

afterEach(() => {
  sinks?.close();
  if (hasMemoryFolder) rmSync(folder, { recursive: true, force: true });
});

/** Reads without leaving a trace would need O_NOATIME; so the trace is what every reader leaves. */
const read = () => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);

function configured(sink: string | undefined = '{runtime}/token'): Config {
  const credentials = new Map([['identity', { name: 'identity', sink } as CredentialConfig]]);
  return { credentials, daemon: { idleAfterMs: IDLE_AFTER } } as unknown as Config;
}

async function settle(ms = 0): Promise<void> {
  await clock.advance(ms);
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

describe.skipIf(!hasMemoryFolder)('the file of a credential', () => {
  it('is written at the start, and is gone at the stop', async () => {
    sinks.adopt(configured());
    await settle();
    expect(sinks.report('identity')).toEqual({ file, written: true, problem: null, remedy: null });
    expect(read()).toBe('token-1');
    sinks.close();
    expect(existsSync(file)).toBe(false);
    expect(sinks.report('identity')).toBeUndefined();
  });

  it('has another token soon after somebody has read it: each can be exchanged once', async () => {
    sinks.adopt(configured());
    await settle();
    expect(read()).toBe('token-1');
    await settle(2_000);
    expect(broker.asks.at(-1)).toEqual({ had: 'token-1', isSpent: true });
    expect(read()).toBe('token-2');
    await settle(2_000);
    expect(read()).toBe('token-3');
  });

  it('has the next token as soon as the broker has', async () => {
    sinks.adopt(configured());
    await settle();
    broker.rotate();
    broker.tell();
    await settle();
    expect(read()).toBe('token-2');
  });

  it('is not asked for without need: while nobody reads it the broker hears of it twice a minute', async () => {
    sinks.adopt(configured());
    await settle();
    for (let at = 0; at < MINUTE; at += 2_000) await settle(2_000);
    expect(broker.asks).toHaveLength(3);
    expect(broker.asks.every(({ isSpent }) => !isSpent)).toBe(true);
  });

  it('that nobody reads for idle_after is left alone, and removed when its token has expired', async () => {
    broker.lifeMs = 3 * IDLE_AFTER;
    sinks.adopt(configured());
    await settle();
    await settle(IDLE_AFTER + MINUTE);
    const asked = broker.asks.length;
    await settle(MINUTE);
    expect(broker.asks).toHaveLength(asked);
    await settle(3 * IDLE_AFTER);
    expect(existsSync(file)).toBe(false);
    broker.timesServed += 1;
    await settle(2_000);
    expect(read()).toBe('token-1');
  });

  it('is written again if somebody removes it', async () => {
    sinks.adopt(configured());
    await settle();
    rmSync(file);
    await settle(2_000);
    expect(read()).toBe('token-1');
  });

  it('is removed with the key, and comes back with the next', async () => {
    sinks.adopt(configured());
    await settle();
    broker.fault = new BrokerError('ERR_DENIED', 'no more', { remedy: 'ask' });
    broker.takeAway();
    expect(existsSync(file)).toBe(false);
    await settle();
    expect(sinks.report('identity')).toEqual({ file, written: false, problem: 'no more', remedy: 'ask' });
    broker.fault = undefined;
    await settle(10_000);
    expect(read()).toBe('token-1');
    expect(sinks.report('identity')).toMatchObject({ written: true, problem: null });
  });

  it('keeps the token it has while the provider fails, until that expires, and says so once', async () => {
    sinks.adopt(configured());
    await settle();
    broker.fault = new BrokerError('ERR_PROVIDER_UNAVAILABLE', 'down', { remedy: 'wait' });
    for (let at = 0; at < 9 * MINUTE; at += 10_000) await settle(10_000);
    expect(existsSync(file)).toBe(true);
    expect(sinks.report('identity')).toMatchObject({ written: true, problem: 'down' });
    await settle(2 * MINUTE);
    expect(existsSync(file)).toBe(false);
    expect(log.text().match(/is not kept fresh: down/g)).toHaveLength(1);
  });

  it('is not written over what is not its own, and the report says why', async () => {
    mkdirSync(file);
    sinks.adopt(configured());
    await settle();
    const { written, problem } = sinks.report('identity') ?? expect.fail('no report');
    expect({ written, problem }).toEqual({ written: false, problem: expect.stringContaining(`${file} has mode`) });
  });

  it('goes when the credential loses its sink or names another file', async () => {
    sinks.adopt(configured());
    await settle();
    sinks.adopt(configured('{runtime}/other'));
    expect(existsSync(file)).toBe(false);
    await settle();
    expect(readFileSync(join(folder, 'other'), 'utf8')).toBe('token-1');
    sinks.adopt({ ...configured(), credentials: new Map() });
    expect(existsSync(join(folder, 'other'))).toBe(false);
  });

  it('of a daemon that was killed is gone before the next one writes', async () => {
    writeFileSync(file, 'stale', { mode: 0o600 });
    broker.fault = new BrokerError('ERR_PROVIDER_UNAVAILABLE', 'down');
    sinks.adopt(configured());
    expect(existsSync(file)).toBe(false);
  });

  it('says nothing of the token in the log', async () => {
    sinks.adopt(configured());
    await settle();
    await settle(MINUTE);
    expect(log.text()).not.toContain('token-1');
  });
});
