import { openCache } from '../../src/cache/open.ts';
import { KekFile } from '../../src/crypto/kek-file.ts';
import { KekKeyring } from '../../src/crypto/kek-keyring.ts';
import type { KekHome } from '../../src/crypto/kek-store.ts';
import { silentLog } from '../../src/platform/log.ts';
import { KEY_HOMES } from '../../src/protocol/reports.ts';
import { NOW } from '../fakes/material.ts';
import { askAt } from './open-at.ts';

/**
 * A process that dies at a chosen moment of moving the key: `before NAME` or `after NAME` of what it does to a home,
 * NAME followed by the slot where there are slots.
 */
const [stateDir = '', to, moment = ''] = process.argv.slice(2);

function dying<T extends object>(target: T): T {
  return new Proxy(target, {
    get: (_, name) => {
      const member = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        const what = args[0] === 'current' || args[0] === 'next' ? `${String(name)} ${args[0]}` : String(name);
        die(`before ${what}`);
        const result = member.apply(target, args);
        const done = (value: unknown) => {
          die(`after ${what}`);
          return value;
        };
        return result instanceof Promise ? result.then(done) : done(result);
      };
    },
  });
}

function die(at: string): void {
  if (at === moment) process.kill(process.pid, 'SIGKILL');
}

const keyring = new KekKeyring({
  ask: askAt({ env: process.env as Record<string, string> }),
  platform: 'linux',
  newKeys: 'never',
  wallMs: () => NOW,
});
const file = new KekFile(stateDir);
const mortal = (home: KekHome): KekHome => ({
  kind: home.kind,
  description: home.description,
  configured: home.configured,
  ...(home.writer && { writer: dying(home.writer) }),
  ...(home.keeper && { keeper: dying(home.keeper) }),
  read: (slot, id) => home.read(slot, id),
});
const cache = openCache({ stateDir, log: silentLog, wallMs: () => NOW, kekHomes: [mortal(keyring), mortal(file)] });
if (cache.awaitsKeeper) await cache.reach();
await cache.rotateKey({ to: KEY_HOMES.find((kind) => kind === to) });
