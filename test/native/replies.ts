import { KEY, reply } from './fake-daemon.ts';

/** One answer of a server and what the helper has to make of it. */
export interface ReplyCase {
  readonly title: string;
  readonly bytes: string;
  readonly args?: readonly string[];
  /** What is printed before the newline; absent: a failure. */
  readonly prints?: string;
  readonly code?: number;
  readonly says?: RegExp;
}

const LONGEST_KEY = 'k'.repeat(16_384);
const STATUSES: readonly (readonly [string, number])[] = [
  ['400 Bad Request', 64],
  ['401 Unauthorized', 77],
  ['403 Forbidden', 77],
  ['404 Not Found', 78],
  ['408 Request Timeout', 75],
  ['409 Conflict', 69],
  ['410 Gone', 77],
  ['418 Teapot', 69],
  ['429 Too Many Requests', 75],
  ['500 Internal Server Error', 70],
  ['502 Bad Gateway', 69],
  ['503 Service Unavailable', 69],
  ['504 Gateway Timeout', 75],
  ['301 Moved Permanently', 69],
  ['204 No Content', 69],
  ['100 Continue', 69],
];

const EXIT_CODES: readonly (readonly [string, number])[] = [
  ['64', 64],
  ['255', 255],
  [' 77 ', 77],
  ['0', 69],
  ['256', 69],
  ['-1', 69],
  ['7x', 69],
  ['', 69],
  ['99999999999999999999', 69],
];

const NOT_KEYS: readonly (readonly [string, string])[] = [
  ['empty', ''],
  ['a space inside', 'sk ant'],
  ['a newline at the end', `${KEY}\n`],
  ['two lines', `${KEY}\n${KEY}`],
  ['a tab', 'sk\tant'],
  ['a NUL', 'sk\0ant'],
  ['an escape sequence', '\x1b[31mred'],
  ['DEL', 'sk\x7f'],
  ['a letter beyond ASCII', 'sk-\xe9'],
  ['one character too many', `${LONGEST_KEY}k`],
  ['60,000 characters', 'k'.repeat(60_000)],
];

const NOT_HTTP: readonly (readonly [string, string])[] = [
  ['a bare key', `${KEY}\n`],
  ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['TLS', '\x15\x03\x03\x00\x02\x02\x28'],
  ['NULs', '\0'.repeat(64)],
  ['HTTP/2', 'HTTP/2 200\r\n\r\n'],
  ['HTTP/0.9', `HTTP/0.9 200 OK\r\n\r\n${KEY}`],
  ['no status', 'HTTP/1.1 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n'],
  ['a signed status', 'HTTP/1.1 +20 OK\r\n\r\n'],
  ['small letters', 'http/1.1 200 OK\r\n\r\n'],
  ['an endless status line', `HTTP/1.1 200 ${'x'.repeat(200_000)}`],
  ['endless headers', `HTTP/1.1 200 OK\r\n${'X-Filler: yes\r\n'.repeat(20_000)}`],
  ['a head of 17 KiB', `HTTP/1.1 200 OK\r\nX-Filler: ${'x'.repeat(17_000)}\r\nContent-Length: 3\r\n\r\nkey`],
  ['a Content-Length of words', 'HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nkey'],
  ['a negative Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nkey'],
  ['an empty Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nkey'],
  ['two Content-Lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nkey'],
  ['more than Content-Length says', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nkey'],
  ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nkey\r\n0\r\n\r\n'],
  ['garbage said to be chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
];

export const REPLIES: readonly ReplyCase[] = [
  { title: 'a key', bytes: reply('200 OK', KEY), prints: KEY },
  { title: 'a key of one character', bytes: reply('200 OK', '!'), prints: '!' },
  { title: 'the longest key', bytes: reply('200 OK', LONGEST_KEY), prints: LONGEST_KEY },
  { title: 'HTTP/1.0 up to the end', bytes: `HTTP/1.0 200 OK\r\n\r\n${KEY}`, prints: KEY },
  { title: 'no reason phrase', bytes: `HTTP/1.1 200\r\n\r\n${KEY}`, prints: KEY },
  { title: 'bare line feeds', bytes: `HTTP/1.1 200 OK\nContent-Length: 3\n\nkey`, prints: 'key' },
  { title: 'header names in capitals', bytes: 'HTTP/1.1 200 OK\r\nCONTENT-LENGTH:3\r\n\r\nkey', prints: 'key' },
  { title: 'the same length twice', bytes: reply('200 OK', 'key', ['Content-Length: 3']), prints: 'key' },
  { title: 'a head of 15 KiB', bytes: reply('200 OK', KEY, [`X-Filler: ${'x'.repeat(15_000)}`]), prints: KEY },
  { title: 'an exit code beside a key', bytes: reply('200 OK', KEY, ['Broker-Exit-Code: 77']), prints: KEY },
  { title: 'JSON', bytes: reply('200 OK', '{"a": "b c"}'), args: ['--format', 'json'], prints: '{"a": "b c"}' },
  {
    title: 'JSON of 64 KiB',
    bytes: reply('200 OK', 'j'.repeat(65_536)),
    args: ['--format=headers'],
    prints: 'j'.repeat(65_536),
  },
  { title: 'JSON of more', bytes: reply('200 OK', 'j'.repeat(65_537)), args: ['--format=aws'], code: 65 },
  { title: 'JSON in two lines', bytes: reply('200 OK', '{\n}'), args: ['--format=json'], code: 65 },
  { title: 'empty JSON', bytes: reply('200 OK', ''), args: ['--format=json'], code: 65 },
  { title: 'a body without end', bytes: `HTTP/1.1 200 OK\r\n\r\n${'k'.repeat(200_000)}`, code: 65 },
  {
    title: 'a length beyond all bounds',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\nk',
    code: 65,
  },
  ...NOT_KEYS.map(([title, body]) => ({ title: `not a key: ${title}`, bytes: reply('200 OK', body), code: 65 })),
  ...NOT_HTTP.map(([title, bytes]) => ({ title: `not HTTP: ${title}`, bytes, code: 69, says: /in HTTP|chunked/ })),
  ...STATUSES.map(([status, code]) => ({
    title: `status ${status}`,
    bytes: reply(status, 'what is wrong; what to do'),
    code,
    says: /^broker-key: what is wrong; what to do\n$/,
  })),
  ...EXIT_CODES.map(([text, code]) => ({
    title: `exit code "${text}"`,
    bytes: reply('503 Service Unavailable', 'words', [`Broker-Exit-Code: ${text}`]),
    code,
    says: /words/,
  })),
  { title: 'an error without words', bytes: reply('503 No', ''), code: 69, says: /did not say which/ },
  {
    title: 'an error of three lines',
    bytes: reply('503 No', 'one\r\ntwo\nthree\n'),
    code: 69,
    says: /one {2}two three\n/,
  },
  { title: 'an error with escapes', bytes: reply('503 No', 'a\x1b[2Jb\x07\0c'), code: 69, says: /: a\?\[2Jb\?\n/ },
  { title: 'an error of 10,000 characters', bytes: reply('503 No', 'x'.repeat(10_000)), code: 69, says: /x{380}/ },
  { title: 'an error beyond ASCII', bytes: reply('503 No', 'd\xc3\xa9j\xc3\xa0'), code: 69, says: /d\?\?j\?\?\n/ },
  { title: 'an error cut off', bytes: reply('503 No', 'words').slice(0, -2), code: 69, says: /broke off/ },
];
