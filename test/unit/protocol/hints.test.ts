import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseHints } from '../../../src/protocol/request.ts';

test('every word the helper can say', () => {
  const all =
    'pid=42, ppid=7, stdin=socket, stdout=pipe, entrypoint=sdk-cli, session=0a1b2c3d, purpose=mcp, agent=1, rejected=1';
  expect(parseHints(all)).toEqual({
    pid: 42,
    ppid: 7,
    stdin: 'socket',
    stdout: 'pipe',
    entrypoint: 'sdk-cli',
    session: '0a1b2c3d',
    purpose: 'mcp',
    agent: true,
    rejected: true,
  });
  expect(parseHints('pid=42')).toEqual({ pid: 42, agent: false, rejected: false });
});

test.each(['socket', 'pipe', 'tty', 'file', 'null', 'closed', 'other'])('a stream that is %s', (kind) => {
  expect(parseHints(`stdin=${kind}`)).toEqual({ stdin: kind, agent: false, rejected: false });
});

test('a newer helper’s words are passed over', () => {
  expect(parseHints('pid=1, future=thing-9')).toEqual({ pid: 1, agent: false, rejected: false });
});

test.each([
  undefined,
  '',
  'pid',
  'pid=',
  'pid=1,ppid=2',
  'pid=1, ',
  ', pid=1',
  'pid=1, pid=2',
  'pid=1, pid=1',
  'pid=-1',
  'pid=01',
  'pid=1.5',
  'pid=2147483648',
  'pid=99999999999999999999',
  'PID=1',
  'stdin=door',
  'stdin=Socket',
  'agent=0',
  'agent=yes',
  'rejected=0',
  'entrypoint=two words',
  'entrypoint=UPPER',
  `entrypoint=${'x'.repeat(33)}`,
  '__proto__=1',
  'pid=1, stdin=socket\r\nEvil: yes',
  'pid=1'.padEnd(600, ' '),
])('%j says nothing', (header) => {
  expect(parseHints(header)).toBeUndefined();
});

test('the words of an object’s prototype are no hints', () => {
  expect(parseHints('constructor=x')).toEqual({ agent: false, rejected: false });
});

test('any text is read without an error, and nothing comes out that did not go in', () => {
  const pieces = fc.constantFrom('pid', 'stdin', 'agent', 'other', '=', ', ', '1', '0', 'pipe', ',', ' ', 'é', '\0');
  const nearly = fc.array(pieces, { maxLength: 16 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string(), nearly), (text) => {
      const hints = parseHints(text);
      if (hints === undefined) return;
      for (const [name, value] of Object.entries(hints)) {
        if (!['agent', 'rejected'].includes(name) && value !== undefined)
          expect(text.split(', ')).toContain(`${name}=${value}`);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('what is written is what is read', () => {
  const kind = fc.constantFrom('socket', 'pipe', 'tty', 'file', 'null', 'closed', 'other');
  const token = fc.string({ unit: fc.constantFrom(...'abz019-'), minLength: 1, maxLength: 32 });
  const hints = fc.record(
    {
      pid: fc.nat(0x7fff_ffff),
      ppid: fc.nat(0x7fff_ffff),
      stdin: kind,
      stdout: kind,
      entrypoint: token,
    },
    { requiredKeys: ['pid'] },
  );
  fc.assert(
    fc.property(hints, fc.boolean(), (wanted, agent) => {
      const pairs = Object.entries(wanted).map(([name, value]) => `${name}=${value}`);
      expect(parseHints([...pairs, ...(agent ? ['agent=1'] : [])].join(', '))).toEqual({
        ...wanted,
        agent,
        rejected: false,
      });
    }),
  );
});
