import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatLaunchRecord, type LaunchRecord, parseLaunchRecord } from '../../../src/service/unmanaged.ts';

const word = fc.string({ minLength: 1, maxLength: 60 }).filter((text) => !/[\n\0]/.test(text));

test('is read back as it was written', () => {
  const record = fc.record({
    run: fc.array(word, { minLength: 1, maxLength: 8 }),
    env: fc.dictionary(
      fc.stringMatching(/^[A-Z_]{1,12}$/),
      fc.string({ maxLength: 40 }).filter((text) => !/[\n\0]/.test(text)),
    ),
    service: fc.option(
      fc.record({
        manager: fc.constantFrom('systemd', 'launchd'),
        command: fc.array(word, { minLength: 1, maxLength: 5 }),
      }),
      { nil: undefined },
    ),
    autostart: fc.boolean(),
  });
  fc.assert(
    fc.property(record, (written) => {
      expect(parseLaunchRecord(formatLaunchRecord(written as LaunchRecord))).toEqual({
        ...written,
        env: { ...written.env },
      });
    }),
  );
});

const RECORD: LaunchRecord = { run: ['/node', 'daemon'], env: {}, service: undefined, autostart: true };

test.each([
  ['a line break', { run: ['/no\nde'] }],
  ['too many words', { run: Array.from({ length: 25 }, () => '/node') }],
  ['too much', { env: { PATH: 'x'.repeat(9000) } }],
])('%s cannot be written down', (_, part) => {
  expect(() => formatLaunchRecord({ ...RECORD, ...part })).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
});

test.each(['', 'broker-launch 2\n', 'broker-launch 1\nrun /node'])('%j is none', (text) => {
  expect(parseLaunchRecord(text)).toBeUndefined();
});
