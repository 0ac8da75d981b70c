import type { KeyKind } from './facts.ts';

export function keyKind(value: string): KeyKind {
  const key = value.trim();
  if (key.startsWith('sk-ant-oat')) return 'oauth-token';
  if (key.startsWith('sk-ant-admin')) return 'admin-key';
  if (key.startsWith('sk-ant-')) return 'api-key';
  if (key.startsWith('{') || key.startsWith('[')) return 'json';
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(key) ? 'jwt' : 'other';
}

/** Why the client would not take this as a key; undefined if it would. */
export function refusalOf(output: string): string | undefined {
  const key = output.trim();
  if (key === '') return 'it is empty';
  if (key.length > 16_384) return 'it is longer than 16,384 characters';
  if (/[\r\n]/.test(key)) return 'it has more than one line';
  if (/\s/.test(key)) return 'it has white space inside';
  return /^[\x21-\x7e]+$/.test(key) ? undefined : 'it is not plain ASCII';
}
