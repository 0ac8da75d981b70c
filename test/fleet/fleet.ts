import { FakeClock } from '../fakes/fake-clock.ts';
import { BrokerHarness, type CredentialSketch } from '../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../fakes/living.ts';
import { failure, ScriptedProvider } from '../fakes/scripted-provider.ts';
import { SecretSystem } from '../fakes/secret-system.ts';
import { Dice } from '../simulation/dice.ts';
import { clientOf } from '../simulation/population.ts';
import { HostClock } from './host-clock.ts';

/** What a host has in use: an API key, a database role, a token of the gateway. */
const CREDENTIALS: readonly CredentialSketch[] = [
  { name: 'anthropic', engine: { kind: 'static' } },
  { name: 'database', engine: { kind: 'leased', lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true } },
  { name: 'gateway', engine: { kind: 'jwt', lastsMs: HOUR } },
];

export const OUTAGE_MS = 2 * HOUR;
/** All machines wake within this time. */
export const WAKE_MS = 10 * SECOND;
/** The broker may put a refresh that nobody waits for off by this much after a wake. */
export const SPREAD_MS = 5 * SECOND;
/** Vault's answer. */
const LATENCY_MS = 40;
/** Whoever got no key tries again: an agent in a loop, a build, a person. */
const AGAIN_MS = 10 * SECOND;

export interface Measured {
  /** Times of requests that arrived at the Vault, in milliseconds after the moment that the scene is about. */
  readonly arrivals: readonly number[];
  /** Asks of clients that were answered with a key, and those that were not. */
  readonly served: number;
  readonly failed: number;
}

/** What serves the keys on one host. */
interface Host {
  ask(credential: string): Promise<boolean>;
  sleep(): void;
  wake(): void;
}

class Vault {
  readonly clock = new FakeClock();
  readonly system = new SecretSystem(this.clock);
  readonly arrivals: number[] = [];
  isDown = false;

  constructor() {
    for (const { name, engine } of CREDENTIALS) this.system.add(name, engine);
  }

  attach(provider: ScriptedProvider): void {
    provider.trouble = ({ atMs }) => {
      this.arrivals.push(atMs);
      return this.isDown ? { delayMs: LATENCY_MS, error: failure.transient() } : { delayMs: LATENCY_MS };
    };
  }
}

function brokerHost(vault: Vault, dice: Dice): Host {
  const machine = new HostClock(vault.clock);
  const { clock, system } = vault;
  const bench = new BrokerHarness({ credentials: CREDENTIALS, random: dice.next, clock, system, machine });
  vault.attach(bench.provider());
  return {
    ask: async (name) => (await bench.ask(name, { client: clientOf(1), origin: 'other' })).value !== undefined,
    sleep: () => machine.sleep(),
    wake: () => {
      machine.wake();
      bench.broker.noticeWake();
    },
  };
}

/** Keeps a key until its time is over and fetches the next one when somebody asks: a script with a file, many a tool. */
function onDemandHost(vault: Vault): Host {
  const { clock, system } = vault;
  const provider = new ScriptedProvider(clock, system);
  vault.attach(provider);
  const untilMs = new Map<string, number>();
  return {
    ask: async (name) => {
      if ((untilMs.get(name) ?? 0) > clock.now()) return true;
      try {
        const source = { path: name };
        await provider.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal });
        untilMs.set(name, clock.now() + (name === 'anthropic' ? 15 * MINUTE : HOUR));
        return true;
      } catch {
        return false;
      }
    },
    sleep: () => undefined,
    wake: () => undefined,
  };
}

export type Kind = 'broker' | 'on-demand';
export type Scene = 'wake' | 'return';

/**
 * wake: all machines and the Vault are gone for two hours, then all wake within ten seconds and everything that ran
 * goes on at once · return: the machines stay up, only the Vault is gone for two hours, and everybody keeps trying.
 */
export async function measure(kind: Kind, scene: Scene, hosts: number, seed = 1): Promise<Measured> {
  const vault = new Vault();
  const { clock } = vault;
  const dice = new Dice(seed);
  const fleet = Array.from({ length: hosts }, () =>
    kind === 'broker' ? brokerHost(vault, dice.fork()) : onDemandHost(vault),
  );
  const counts = { served: 0, failed: 0 };
  let isOver = false;
  const live = async (host: Host, own: Dice, name: string): Promise<void> => {
    while (!isOver) {
      const ok = await host.ask(name);
      counts[ok ? 'served' : 'failed'] += 1;
      const pause = ok ? 5 * MINUTE : AGAIN_MS;
      await new Promise<void>((resolve) => void clock.after(pause * own.between(0.9, 1.1), resolve));
    }
  };
  for (const host of fleet) {
    const own = dice.fork();
    for (const { name } of CREDENTIALS) {
      // Nobody started at the same moment.
      if (scene === 'return') clock.after(own.between(0, 10 * MINUTE), () => void live(host, own, name));
      else clock.after(own.between(0, 10 * MINUTE), () => void host.ask(name));
    }
  }
  await clock.advance(15 * MINUTE);
  const zero = scene === 'wake' ? await sleepAndWake(vault, fleet, dice, live) : await loseVault(vault);
  isOver = true;
  return { arrivals: vault.arrivals.map((atMs) => atMs - zero), ...counts };
}

async function sleepAndWake(
  { clock }: Vault,
  fleet: readonly Host[],
  dice: Dice,
  live: (host: Host, own: Dice, name: string) => Promise<void>,
): Promise<number> {
  for (const host of fleet) host.sleep();
  clock.sleep(OUTAGE_MS);
  const zero = clock.now();
  for (const host of fleet) {
    const own = dice.fork();
    clock.after(own.between(0, WAKE_MS), () => {
      host.wake();
      for (const { name } of CREDENTIALS) {
        clock.after(own.between(0, SECOND), () => void live(host, own, name));
      }
    });
  }
  await clock.advance(MINUTE);
  return zero;
}

async function loseVault(vault: Vault): Promise<number> {
  vault.isDown = true;
  await vault.clock.advance(OUTAGE_MS);
  vault.isDown = false;
  const zero = vault.clock.now();
  await vault.clock.advance(10 * MINUTE);
  return zero;
}

/** Requests per second, counted in bins of a second from `fromMs` on. */
export function perSecond(arrivals: readonly number[], fromMs: number, toMs: number): number[] {
  const bins = Array.from({ length: Math.ceil((toMs - fromMs) / SECOND) }, () => 0);
  for (const atMs of arrivals) {
    const bin = Math.floor((atMs - fromMs) / SECOND);
    if (bins[bin] !== undefined) bins[bin] += 1;
  }
  return bins;
}

/** Everything that has to be fetched, spread evenly over the time in which it may be. */
export function smoothOptimum(hosts: number): number {
  return (hosts * CREDENTIALS.length) / ((WAKE_MS + SPREAD_MS) / SECOND);
}
