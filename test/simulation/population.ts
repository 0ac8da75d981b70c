import { CLAUDE_CODE } from '../../src/platform/known-clients.ts';
import type { Client } from '../../src/platform/process-tree.ts';
import type { CredentialSketch } from '../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../fakes/living.ts';
import type { EngineSketch } from '../fakes/secret-system.ts';

/** Every kind of credential, long-lived and short-lived; the last ones live shorter than most clients keep them. */
const KINDS: readonly { readonly engine: EngineSketch; readonly ttlMs?: number }[] = [
  { engine: { kind: 'static' } },
  { engine: { kind: 'static' }, ttlMs: 5 * MINUTE },
  { engine: { kind: 'static', ttlHintMs: 10 * MINUTE } },
  { engine: { kind: 'jwt', lastsMs: HOUR } },
  { engine: { kind: 'jwt', lastsMs: 25 * MINUTE } },
  { engine: { kind: 'expires-at', lastsMs: 4 * HOUR } },
  { engine: { kind: 'expires-at', lastsMs: 30 * MINUTE } },
  { engine: { kind: 'leased', lastsMs: HOUR, maxMs: 6 * HOUR, renewable: true } },
  { engine: { kind: 'leased', lastsMs: 15 * MINUTE, maxMs: 2 * HOUR, renewable: true } },
  { engine: { kind: 'leased', lastsMs: 3 * HOUR } },
  { engine: { kind: 'leased', lastsMs: 20 * MINUTE } },
  { engine: { kind: 'leased', lastsMs: 6 * MINUTE } },
  { engine: { kind: 'jwt', lastsMs: 8 * MINUTE } },
];

export const PROVIDERS = ['north', 'east', 'south', 'west'] as const;
/** Sends no Date header: what depends on the wall clock is not read from it, since nobody could judge its times. */
export const TIMELESS = 'west';

/** @param count of them, each kind in turn. Every tenth reads the same secret as the one before it. */
export function credentialsOf(count: number): CredentialSketch[] {
  return Array.from({ length: count }, (_, index) => {
    const kind = KINDS[index % KINDS.length] ?? { engine: { kind: 'static' } };
    const name = `c${index}`;
    const needsTime = kind.engine.kind === 'jwt' || kind.engine.kind === 'expires-at';
    const usable = needsTime ? PROVIDERS.filter((provider) => provider !== TIMELESS) : PROVIDERS;
    const shared = kind.engine.kind === 'static' && index >= KINDS.length && index % 2 === 0;
    return {
      name,
      provider: shared ? 'north' : (usable[index % usable.length] ?? 'north'),
      path: shared ? 'shared' : name,
      ...kind,
    };
  });
}

/** As people set them: mostly nothing, some shorter, some longer, one that asks at every request. */
export const INTERVALS = [300, 300, 300, 60, 900, 3600, 0, 5].map((seconds) => seconds * SECOND);

export const clientOf = (pid: number): Client => ({
  id: `${pid}`,
  pid,
  startTime: `${pid}`,
  name: 'claude',
  known: CLAUDE_CODE,
});
