import { refusal } from '../../../src/demo/vault.ts';
import type { DevHandler } from './request.ts';

/**
 * active · sealed: 503 to everything · standby: sends clients to `activeAddress` (307), or, knowing none, answers 500
 * as a standby does that has lost its leader.
 */
export type Mode = 'active' | 'sealed' | 'standby';

/** `sys/health`, `sys/seal-status` and the mounts that the web interface lists: answered without a token in every mode. */
export function systemHandler(mode: () => Mode, nowMs: () => number): DevHandler {
  return (request) => {
    const sealed = mode() === 'sealed';
    const standby = mode() === 'standby';
    if (request.path === 'sys/seal-status') {
      return {
        status: 200,
        body: { type: 'shamir', initialized: true, sealed, t: 1, n: 1, progress: 0, version: VERSION },
      };
    }
    if (request.path === 'sys/internal/ui/mounts') {
      // Without a login only what was tuned to be listed.
      const secret = request.token === undefined || request.token === '' ? {} : MOUNTS;
      return { status: 200, body: { data: { auth: {}, secret } } };
    }
    if (request.path !== 'sys/health') return undefined;
    const body = {
      initialized: true,
      sealed,
      standby,
      performance_standby: false,
      server_time_utc: Math.floor(nowMs() / 1000),
      version: VERSION,
    };
    return { status: sealed ? 503 : standby ? 429 : 200, body };
  };
}

const MOUNTS = {
  'secret/': { type: 'kv', options: { version: '2' } },
  'kv/': { type: 'kv', options: null },
  'cubbyhole/': { type: 'cubbyhole' },
};

const VERSION = '0.0.0-broker-development';

export const SEALED = refusal(503, 'Vault is sealed');
/** OpenBao's words. */
export const NO_NAMESPACE = refusal(404, 'namespace not found');
export const LEADERLESS = refusal(500, 'local node not active but active cluster node not found');
