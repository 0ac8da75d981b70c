import type { KekStore } from '../../src/crypto/kek-store.ts';

/** The store, whose process is killed `before NAME` or `after NAME` of what is done to it. */
export function mortal(store: KekStore, moment: string): KekStore {
  const die = (at: string) => {
    if (at === moment) process.kill(process.pid, 'SIGKILL');
  };
  return new Proxy(store, {
    get: (_, name) => {
      const member = Reflect.get(store, name);
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]) => {
        die(`before ${String(name)}`);
        const result = await member.apply(store, args);
        die(`after ${String(name)}`);
        return result;
      };
    },
  });
}
