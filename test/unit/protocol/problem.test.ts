import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BrokerError, type ErrorCode } from '../../../src/errors.ts';
import {
  errorOfProblem,
  LONGEST_LINE_BYTES,
  PROBLEM_TITLES,
  problemLine,
  problemOf,
} from '../../../src/protocol/problem.ts';

it('tells every kind of error so that the other side gets the same one back', () => {
  for (const code of Object.keys(PROBLEM_TITLES) as ErrorCode[]) {
    const error = new BrokerError(code, 'what failed', { remedy: 'what to do' });
    const problem = problemOf(error);
    expect(problem).toMatchObject({ status: error.httpStatus, code, exitCode: error.exitCode, detail: 'what failed' });
    const back = errorOfProblem(JSON.parse(JSON.stringify(problem)));
    expect(back).toMatchObject({ code, message: 'what failed', remedy: 'what to do', exitCode: error.exitCode });
  }
});

it('takes a code that it does not know for an internal error, and no foreign document for a problem', () => {
  expect(errorOfProblem({ code: 'ERR_OF_TOMORROW', detail: 'x' })).toMatchObject({
    code: 'ERR_INTERNAL',
    message: 'x',
  });
  expect(errorOfProblem({ code: 'toString', detail: 'x' })).toMatchObject({ code: 'ERR_INTERNAL' });
  for (const foreign of [null, 'x', [], {}, { code: 'ERR_GONE' }]) expect(errorOfProblem(foreign)).toBeUndefined();
});

it('puts message and remedy on one line', () => {
  const error = new BrokerError('ERR_GONE', 'no secret\nat secret/data/x', { remedy: 'ask\tyour admin' });
  expect(problemLine(error)).toBe('no secret at secret/data/x; ask your admin');
  expect(problemLine(new BrokerError('ERR_GONE', 'gone'))).toBe('gone');
});

it('cuts a message that is too long and keeps the remedy', () => {
  const line = problemLine(new BrokerError('ERR_GONE', 'm'.repeat(1000), { remedy: 'run: broker login vault' }));
  expect(line).toHaveLength(LONGEST_LINE_BYTES);
  expect(line.endsWith('...; run: broker login vault')).toBe(true);
});

it('never cuts a character in two', () => {
  const error = new BrokerError('ERR_GONE', '\u{1f511}'.repeat(300));
  expect(problemLine(error)).toMatch(/^\u{1f511}+\.\.\.$/u);
});

it('is one line of at most 400 bytes, whatever the words', () => {
  const words = fc.string({ unit: 'binary', maxLength: 600 });
  fc.assert(
    fc.property(words, fc.option(words, { nil: undefined }), (message, remedy) => {
      const error = new BrokerError('ERR_GONE', message, remedy === undefined ? {} : { remedy });
      const line = problemLine(error);
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(400);
      expect(line).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
    }),
  );
});
