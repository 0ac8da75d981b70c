import { describe, expect, it } from 'vitest';
import { fieldAt, selectField } from '../../../src/credential/secret.ts';
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
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`name${index}\u001b[31m`, 'x']));
    const { remedy } = faultOf(() => selectField(many, 'absent'));
    expect(remedy).toContain('(500 in all)');
    expect(remedy).not.toContain('\u001b');
    expect(remedy?.length).toBeLessThan(600);
  });
});
