import { describe, expect, it } from 'vitest';
import { fieldAt, selectField } from '../../../src/credential/field.ts';
import { parseObject } from '../../../src/credential/secret.ts';
import { ProviderError } from '../../../src/errors.ts';

const faultOf = (action: () => unknown): ProviderError => {
  try {
    action();
  } catch (error) {
    if (error instanceof ProviderError) return error;
    throw error;
  }
  throw new Error('it did not fail');
};

describe('the field of a structured secret', () => {
  it.each([
    ['a name', { api_key: 'a' }, 'api_key', 'a'],
    ['a path', { data: { keys: { main: 'b' } } }, 'data.keys.main', 'b'],
    ['a name with dots', { 'a.b': 'c' }, 'a.b', 'c'],
    ['a name with dots on the way', { 'a.b': { c: 'd' } }, 'a.b.c', 'd'],
    ['a name with dots at the end', { a: { 'b.c': 'e' } }, 'a.b.c', 'e'],
    ['the exact name before the path', { 'a.b': 'exact', a: { b: 'path' } }, 'a.b', 'exact'],
    ['a number, as text', { pin: 42 }, 'pin', '42'],
    ['an index of a list', { keys: ['x', 'y'] }, 'keys.1', 'y'],
  ])('is found by %s', (_what, secret, field, expected) => {
    expect(selectField(secret, field).value).toBe(expected);
  });

  it('is the only text there is if none is named', () => {
    expect(selectField({ key: 'k', ttl: 5, meta: {} }, undefined)).toEqual({ value: 'k', origin: 'field "key"' });
  });

  it('has to be named where several could be meant, or none', () => {
    expect(faultOf(() => selectField({ a: 'x', b: 'y' }, undefined)).remedy).toContain('a, b');
    expect(faultOf(() => selectField({}, undefined)).remedy).toContain('the secret is empty');
  });

  it.each(['__proto__', 'constructor', 'toString', '__proto__.polluted', 'a.constructor'])(
    'is never an inherited one: %s',
    (path) => {
      expect(fieldAt({ a: {} }, path)).toBeUndefined();
    },
  );

  it.each([
    ['null', { f: null }, 'is null'],
    ['a list', { f: ['canary'] }, 'is a list'],
    ['an object', { f: { deeper: 'canary' } }, 'is of type object'],
    ['a truth value', { f: true }, 'is of type boolean'],
  ])('is refused as %s without its value being told', (_what, secret, words) => {
    const fault = faultOf(() => selectField(secret, 'f'));
    expect(fault.kind).toBe('misconfigured');
    expect(fault.message).toContain(words);
    expect(`${fault.message} ${fault.remedy}`).not.toContain('canary');
  });

  it('shows what a deeper path would be, and bounds what it shows', () => {
    expect(faultOf(() => selectField({ f: { a: 'x' } }, 'f')).remedy).toContain('f.a');
    const many: Record<string, string> = Object.fromEntries(
      Array.from({ length: 500 }, (_, index) => [`name${index}`, 'x']),
    );
    many['a\u001b[31m'] = 'x';
    const { remedy } = faultOf(() => selectField(many, 'absent'));
    expect(remedy).toContain('(500 in all)');
    expect(remedy).not.toContain('\u001b');
    expect(remedy?.length).toBeLessThan(600);
  });

  it.each([
    [
      'a table deep inside',
      { data: { keys: { main: 'sk-x', made: 1700000000 } }, note: 'two words' },
      'data.keys.main',
    ],
    ['a list', { keys: [{ value: 'sk-x' }] }, 'keys.0.value'],
    ['JSON in a text', { config: '{"key":"sk-x","on":true}' }, 'config.key'],
    ['a number where there is no text', { key: 12345, on: true }, 'key'],
    ['a name with dots', { 'a.b': 'sk-x', c: 'null' }, 'a.b'],
  ])('is offered only if it can be served, and can be set as it is offered: %s', (_what, secret, field) => {
    const { remedy } = faultOf(() => selectField(secret, 'absent'));
    expect(remedy).toBe(`set \`field\` to one of: ${field}`);
    expect(selectField(secret, field).value).toMatch(/^(?:sk-x|12345)$/);
  });

  it('is not offered where nothing there could be served', () => {
    const { remedy } = faultOf(() => selectField({ a: true, b: null, c: 'op://dev/x/y', d: 'not a key' }, undefined));
    expect(remedy).toBe('store the bare key as a field there: no field of the secret holds one');
  });

  it('that holds JSON in its text is entered by a longer path, and says which', () => {
    const secret = { api_key: '{"key":"sk-x","owner":"two words"}' };
    expect(faultOf(() => selectField(secret, undefined))).toMatchObject({
      code: 'ERR_KEY_UNUSABLE',
      message: 'field "api_key" is not a key that Claude Code accepts: it holds JSON',
      remedy: 'set `field` to one of: api_key.key',
    });
    expect(selectField(secret, 'api_key.key').value).toBe('sk-x');
  });
});

describe('a number in JSON', () => {
  it.each([
    ['12345678901234567890', '12345678901234567890'],
    ['-9007199254740993', '-9007199254740993'],
    ['0.1234567890123456789', '0.1234567890123456789'],
    ['1e999', '1e999'],
    ['1e-999', '1e-999'],
    ['9007199254740991', '9007199254740991'],
    ['4711', '4711'],
  ])('is never another number: %s', (written, served) => {
    expect(selectField(parseObject(`{"key":${written}}`) ?? {}, 'key').value).toBe(served);
  });

  it('that JavaScript holds is a number, and a large one does not make a second text', () => {
    expect(parseObject('{"a":4711,"b":1.7e9,"c":3600.0}')).toEqual({ a: 4711, b: 1.7e9, c: 3600 });
    const secret = parseObject('{"api_key":"sk-x","account":12345678901234567890}') ?? {};
    expect(selectField(secret, undefined).value).toBe('sk-x');
  });
});
