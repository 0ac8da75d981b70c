import { expect, it } from 'vitest';
import { type ConfigFault, configError, inFileOrder } from '../../../src/config/faults.ts';
import { describeError } from '../../../src/errors.ts';

const fault = (line: number | undefined, key: string | undefined): ConfigFault => ({
  file: '/c/config.toml',
  line,
  key,
  message: 'this key is missing',
  remedy: 'write it',
});

it('one fault is an error of one sentence', () => {
  const error = configError([fault(3, 'a.b')]);
  expect([error.code, error.exitCode]).toEqual(['ERR_CONFIG', 78]);
  expect(describeError(error)).toBe('error: /c/config.toml:3: a.b: this key is missing\nhint: write it');
  expect(configError([fault(undefined, undefined)]).message).toBe('/c/config.toml: this key is missing');
});

it('several are an error that lists them all', () => {
  const error = configError([fault(3, 'a.b'), fault(undefined, undefined)]);
  expect(describeError(error)).toBe(
    [
      'error: the configuration has 2 faults',
      '/c/config.toml:3: a.b: this key is missing',
      '  hint: write it',
      '/c/config.toml: this key is missing',
      '  hint: write it',
      'hint: fix them, then run: broker config validate',
    ].join('\n'),
  );
});

it('are listed in the order of the file, each once', () => {
  const listed = inFileOrder([fault(9, 'z'), fault(undefined, undefined), fault(2, 'b'), fault(9, 'z'), fault(2, 'a')]);
  expect(listed.map(({ line, key }) => [line, key])).toEqual([
    [undefined, undefined],
    [2, 'b'],
    [2, 'a'],
    [9, 'z'],
  ]);
});
