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

describe('what the client would take, and is not a key', () => {
  it.each([
    ['null', 'a word like null', 'the key itself'],
    ['None', 'a word like null', 'the key itself'],
    ['undefined', 'a word like null', 'the key itself'],
    ['<nil>', 'a word like null', 'the key itself'],
    ['"null"', 'a word like null', 'the key itself'],
    ['your-api-key-here', 'an example', 'the key itself'],
    ['sk-ant-api03-...', 'an example', 'the key itself'],
    ['op://dev/claude/credential', 'op://...', 'command = ["op", "read"'],
    ['vault:secret/data/claude#key', 'a reference to a secret', 'the value that it stands for'],
    ['ref+awssecrets://claude/key', 'a reference to a secret', 'the value that it stands for'],
    ['projects/p/secrets/claude/versions/1', 'a reference to a secret', 'the value that it stands for'],
    ['arn:aws:secretsmanager:eu-west-1:123456789012:secret:claude', 'arn:...', 'secret_id'],
    ['arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:claude', 'arn:...', 'secret_id'],
    ['vault:v1:c2VjcmV0', 'encrypted', 'decrypted'],
    ['ENC[AES256_GCM,data:YQ==,iv:Yg==]', 'encrypted', 'decrypted'],
    ['"sk-ant-api03-canary"', 'in quotes', 'without the quotes'],
    ["'sk-ant-api03-canary'", 'in quotes', 'without the quotes'],
    ['{"key":"sk-canary"}', 'JSON', 'field'],
    ['["sk-canary"]', 'JSON', 'bare key'],
    ['ANTHROPIC_API_KEY=sk-ant-canary', 'an assignment', 'after the ='],
    ['api_key=sk-ant-canary', 'an assignment', 'after the ='],
    ['\u0024{ANTHROPIC_API_KEY}', 'a placeholder', 'the key itself'],
    ['<your-api-key>', 'a placeholder', 'the key itself'],
    ['********', 'a placeholder', 'the key itself'],
  ])('%s: it is %s', (text, found, remedy) => {
    let fault: unknown;
    try {
      toKey(bytes(`${text}\n`), 'field "api_key"');
    } catch (error) {
      fault = error;
    }
    expect(fault).toMatchObject({ code: 'ERR_KEY_UNUSABLE', kind: 'misconfigured' });
    const { message, remedy: advice } = fault as ProviderError;
    expect(message).toContain(found);
    expect(advice).toContain(remedy);
    expect(`${message} ${advice}`).not.toContain('canary');
  });

  it.each([
    'sk-ant-api03-abc_DEF',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln',
    'ABC_DEF0x9/+a==',
    'AB_CD=',
    'nullable-key',
    'truetype',
    '{not-json',
    '"half',
    '$up3r$ecret',
    'user:password',
    'postgres://u:p@h/db',
    'hvs.CAESIabc',
    '0123456789',
  ])('%s may be one', (text) => {
    expect(toKey(bytes(text), 'it').reveal()).toBe(text);
  });
});

describe('the ways in which text is encoded', () => {
  it.each([
    ['UTF-8 with a byte order mark', Buffer.from('\ufeffsk-x\n', 'utf8')],
    ['UTF-16 as PowerShell writes it', Buffer.from('\ufeffsk-x\r\n', 'utf16le')],
    ['UTF-16 without a mark', Buffer.from('sk-x\r\n', 'utf16le')],
    ['UTF-16, big endian', Buffer.from('\ufeffsk-x\r\n', 'utf16le').swap16()],
    ['UTF-16, cut off in the middle', Buffer.concat([Buffer.from('\ufeffsk-x', 'utf16le'), Buffer.from([10])])],
  ])('a key is read from %s', (_what, raw) => {
    expect(toKey(raw, 'it').reveal()).toBe('sk-x');
  });
});
