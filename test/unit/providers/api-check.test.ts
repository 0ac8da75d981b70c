import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SecretBytes } from '../../../src/credential/secret.ts';
import { type ApiCheck, checkKey, judgeAnswer, madeUpLike } from '../../../src/providers/api-check.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from '../../fakes/loopback.ts';

const REJECTED = '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}';

let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => answer(request, response));

beforeEach(() => listenOnLoopback(server));
afterEach(() => closeAtOnce(server));

const clock = new FakeClock();
const surroundings = { clock, env: { HTTP_PROXY: 'http://127.0.0.1:1' }, name: 'anthropic' };
const here = (): ApiCheck => ({
  url: `${loopbackAddress(server)}/v1/models?limit=1`,
  headers: { 'anthropic-version': '2023-06-01' },
  header: { name: 'x-api-key', prefix: '' },
});
const check = (signal = new AbortController().signal) =>
  checkKey(here(), SecretBytes.fromString('sk-ant-api03-abc'), surroundings, signal);
const say =
  (status: number, type: string, body: string, more = {}) =>
  (_: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(status, { 'content-type': type, ...more }).end(body);

describe('the API’s word', () => {
  it('is asked with the key in its header and the configured ones', async () => {
    let seen: IncomingMessage['headers'] = {};
    answer = (request, response) => {
      seen = request.headers;
      say(200, 'application/json', '{"data":[]}')(request, response);
    };
    expect(await check()).toEqual({ word: 'good', seen: 'HTTP 200' });
    expect(seen).toMatchObject({ 'x-api-key': 'sk-ant-api03-abc', 'anthropic-version': '2023-06-01' });
    expect(seen.cookie).toBeUndefined();
  });

  it.each([
    ['its own words', 401, 'application/json', REJECTED, 'rejected'],
    ['its own words, with a charset', 401, 'application/json; charset=utf-8', REJECTED, 'rejected'],
    ['a 401 of a gateway', 401, 'application/json', '{"message":"Unauthorized"}', 'none'],
    ['a 401 of a portal', 401, 'text/html', `<html>${REJECTED}</html>`, 'none'],
    ['a 403 in its words', 403, 'application/json', REJECTED, 'none'],
    ['a login page', 200, 'text/html', '<html>', 'none'],
    ['a redirect', 302, 'application/json', '{}', 'none'],
    ['a proxy that wants a password', 407, 'application/json', REJECTED, 'none'],
    ['too many', 429, 'application/json', '{}', 'none'],
    ['overloaded', 529, 'application/json', '{}', 'none'],
    ['half an object', 401, 'application/json', REJECTED.slice(0, -4), 'none'],
    ['more than an API says', 401, 'application/json', `${' '.repeat(70_000)}${REJECTED}`, 'none'],
  ])('%s', async (_, status, type, body, word) => {
    answer = say(status, type, body, status === 302 ? { location: '/elsewhere' } : {});
    expect((await check()).word).toBe(word);
  });

  it('no answer is no verdict, and shows nothing of the key', async () => {
    answer = (request) => void request.socket.destroy();
    expect(await check()).toEqual({ word: 'none', seen: 'ECONNRESET' });
    answer = () => {};
    const silent = check();
    await clock.whenArmed();
    await clock.advance(3_000);
    expect(await silent).toEqual({ word: 'none', seen: 'no answer within 3 s' });
  });

  it('ends with whoever wanted it', async () => {
    answer = () => {};
    const gone = new AbortController();
    const asked = check(gone.signal);
    gone.abort(new Error('gone'));
    await expect(asked).rejects.toThrow('gone');
  });

  it('other APIs say it in other words', () => {
    const rule = { status: 403, field: 'detail.code', value: 'bad_key' };
    expect(judgeAnswer(403, 'application/json', '{"detail":{"code":"bad_key"}}', rule).word).toBe('rejected');
    expect(judgeAnswer(401, 'application/json', REJECTED, rule).word).toBe('none');
    expect(judgeAnswer(403, 'application/json', '{"detail":null}', rule).word).toBe('none');
  });
});

it('a made-up key has the form of the real one and nothing of its value', () => {
  const real = Buffer.from('sk-ant-api03-Ab1_zZ9-xyz');
  const made = Buffer.from(madeUpLike(real, (below) => below - 1)).toString();
  expect(made).toBe('sk-ant-api03-Zz9_zZ9-zzz');
  expect(made).toHaveLength(real.length);
});
