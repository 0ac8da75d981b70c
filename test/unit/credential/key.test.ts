import { describe, expect, it } from 'vitest';
import { keyFault, toKey, trimKey } from '../../../src/credential/key.ts';
import { ProviderError } from '../../../src/errors.ts';
import { LONGEST_KEY } from '../../../src/protocol/request.ts';

const bytes = (text: string) => Buffer.from(text, 'utf8');

describe('what the client accepts as a key', () => {
  it.each([
    ['an ordinary key', 'sk-ant-api03-abc_DEF'],
    ['one character', 'x'],
    ['every printable character', String.fromCharCode(...Array.from({ length: 94 }, (_, index) => 0x21 + index))],
    ['JSON, which it takes literally', '{"a":1}'],
    ['the longest', 'k'.repeat(LONGEST_KEY)],
  ])('takes %s', (_what, text) => {
    expect(keyFault(bytes(text))).toBeUndefined();
  });

  it.each([
    ['nothing', '', 'it is empty'],
    ['two lines', 'a\nb', 'it has more than one line'],
    ['a carriage return inside', 'a\rb', 'it has more than one line'],
    ['a scheme before the key', 'Bearer x', 'it has white space inside'],
    ['a tab inside', 'a\tb', 'it has white space inside'],
    ['an umlaut', 'schlüssel', 'it has characters that are not ASCII'],
    ['DEL', 'a\x7fb', 'it has characters that are not ASCII'],
    ['NUL', 'a\0b', 'it has control characters'],
    ['one character too many', 'k'.repeat(LONGEST_KEY + 1), 'it is 16385 characters long, and the limit is 16384'],
  ])('refuses %s', (_what, text, fault) => {
    expect(keyFault(bytes(text))).toBe(fault);
  });

  it('trims what the client trims, and nothing else', () => {
    expect(trimKey(bytes(' \t\r\n\v\f key\n\n')).toString()).toBe('key');
    expect(trimKey(bytes(' \n ')).length).toBe(0);
    expect(trimKey(bytes('\0key')).toString()).toBe('\0key');
  });

  it('copies: wiping what was read does not touch the key, and the other way round', () => {
    const raw = bytes(' key\n');
    const key = toKey(raw, 'the secret');
    raw.fill(0);
    expect(key.reveal()).toBe('key');
  });

  it('names the place but never the value when it refuses', () => {
    let fault: unknown;
    try {
      toKey(bytes('Bearer canary'), 'field "api_key"');
    } catch (error) {
      fault = error;
    }
    expect(fault).toBeInstanceOf(ProviderError);
    expect(fault).toMatchObject({ code: 'ERR_KEY_UNUSABLE', kind: 'misconfigured' });
    expect(String(fault)).toContain('field "api_key"');
    expect(`${fault} ${JSON.stringify(fault)}`).not.toContain('canary');
  });
});
