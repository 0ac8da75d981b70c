import { expect, it } from 'vitest';
import { readOnce, type SecretRead, type SharedRead } from '../../../src/broker/reads.ts';
import { SecretBytes } from '../../../src/credential/secret.ts';
import type { IssuedLease } from '../../../src/providers/provider.ts';

function answer(lease?: IssuedLease): SecretRead {
  const secret = {
    content: { kind: 'text', text: SecretBytes.fromString('sk-1') } as const,
    version: undefined,
    lease,
    ttlHintMs: undefined,
    expiresAtServerMs: undefined,
    serverTimeMs: undefined,
  };
  return { secret, at: { nowMs: 0, wallMs: 0 } };
}

const textOf = ({ secret: { content } }: SecretRead) => content.kind === 'text' && content.text;

/** So many want the same secret at once. */
function wantedBy(count: number, read: () => Promise<SecretRead>) {
  const reads = new Map<string, SharedRead>();
  return { reads, results: Array.from({ length: count }, () => readOnce(reads, 'path', read)) };
}

it('is one answer for all who wait for it, and the last to let go wipes it', async () => {
  const given = answer();
  let asked = 0;
  const { reads, results } = wantedBy(3, async () => {
    asked += 1;
    return given;
  });
  const lent = await Promise.all(results);
  expect([asked, reads.size]).toEqual([1, 0]);
  expect(lent.map(({ isOwn }) => isOwn)).toEqual([true, false, false]);
  lent[0]?.[Symbol.dispose]();
  lent[2]?.[Symbol.dispose]();
  expect(textOf(given)).toMatchObject({ length: 4 });
  lent[1]?.[Symbol.dispose]();
  expect(() => textOf(given) && (textOf(given) as SecretBytes).bytes).toThrow('wiped');
});

it('of a lease belongs to the one that caused it: every other reads again, one after the other', async () => {
  const given: SecretRead[] = [];
  let running = 0;
  const { results } = wantedBy(3, async () => {
    running += 1;
    expect(running).toBe(1);
    await undefined;
    running -= 1;
    given.push(
      answer({ id: `lease-${given.length}`, durationMs: 1, renewable: false, maxDurationMs: 1, loginId: 'l' }),
    );
    return given.at(-1) as SecretRead;
  });
  const lent = await Promise.all(results);
  expect(lent.map(({ secret }) => secret.lease?.id)).toEqual(['lease-0', 'lease-1', 'lease-2']);
  for (const each of lent) each[Symbol.dispose]();
  for (const each of given) expect(() => (textOf(each) as SecretBytes).bytes).toThrow('wiped');
});

it('that fails fails for all who wait, and the next one asks again', async () => {
  const error = new Error('no');
  const { reads, results } = wantedBy(2, () => Promise.reject(error));
  expect(await Promise.allSettled(results)).toEqual([
    { status: 'rejected', reason: error },
    { status: 'rejected', reason: error },
  ]);
  expect((await readOnce(reads, 'path', async () => answer())).isOwn).toBe(true);
});
