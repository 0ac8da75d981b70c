import { expect, it } from 'vitest';
import { KekKeyring, type KeyringReply, type TroubleKind, trouble } from '../../../src/crypto/kek-keyring.ts';

const MINUTE = 60_000;

/** A keyring that always refuses in this way, and how often it was asked over some hours of a look a minute. */
async function asksPerHour(why: TroubleKind, platform: NodeJS.Platform): Promise<number[]> {
  let now = 0;
  let asked = 0;
  const ask = async (): Promise<KeyringReply> => {
    asked += 1;
    return trouble(why);
  };
  const home = new KekKeyring({ ask, platform, newKeys: 'never', wallMs: () => now });
  const hours: number[] = [];
  for (let hour = 0; hour < 4; hour += 1) {
    asked = 0;
    for (const until = now + 60 * MINUTE; now < until; now += MINUTE) {
      home.read('current', 'f00d');
      await home.look();
    }
    hours.push(asked);
  }
  return hours;
}

it('a keyring that was found locked without prompting is looked at every time', async () => {
  expect(await asksPerHour('locked', 'linux')).toEqual([60, 60, 60, 60]);
});

it('one that may have put a dialogue before somebody is asked less and less, once an hour in the end', async () => {
  expect(await asksPerHour('silent', 'linux')).toEqual([6, 1, 1, 1]);
  expect(await asksPerHour('locked', 'darwin')).toEqual([6, 1, 1, 1]);
});

it('a person who asks for it does not wait', async () => {
  let reply: KeyringReply = trouble('silent');
  const home = new KekKeyring({ ask: async () => reply, platform: 'linux', newKeys: 'never', wallMs: () => 0 });
  home.read('current', 'f00d');
  await home.look();
  reply = { outcome: 'absent' };
  expect(await home.look()).toBe(false);
  expect(await home.look(true)).toBe(true);
  expect(home.read('current', 'f00d')).toMatchObject({ state: 'missing' });
});
