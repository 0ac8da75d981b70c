import { expect, test } from 'vitest';
import { contentOfBytes, contentOfText } from '../../../../src/providers/aws/answer.ts';

test('a long number in a secret keeps its digits', () => {
  const content = { kind: 'json', json: { key: 12345678901234567890n } };
  expect(contentOfText('{"key":12345678901234567890}')).toEqual(content);
  expect(contentOfBytes(Buffer.from('{"key":12345678901234567890}'))).toEqual(content);
});

test.each([
  ['UTF-8 with a mark', Buffer.from('\ufeff{"key":"sk-x"}')],
  ['UTF-16, as PowerShell writes it', Buffer.from('\ufeff{"key":"sk-x"}', 'utf16le')],
])('a binary secret in %s is read, and wiped', (_name, bytes) => {
  expect(contentOfBytes(bytes)).toEqual({ kind: 'json', json: { key: 'sk-x' } });
  expect(bytes.every((byte) => byte === 0)).toBe(true);
});

test('a binary key in UTF-16 is read, and what it was read from is wiped', () => {
  const bytes = Buffer.from('\ufeffsk-x', 'utf16le');
  const content = contentOfBytes(bytes);
  expect(content.kind === 'text' && content.text.reveal()).toBe('sk-x');
  expect(bytes.every((byte) => byte === 0)).toBe(true);
});

test('a mark in front of a JSON text is passed over', () => {
  expect(contentOfText('\ufeff{"key":"sk-x"}')).toEqual({ kind: 'json', json: { key: 'sk-x' } });
});
