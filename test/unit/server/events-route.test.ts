import { afterEach, beforeEach, expect, it } from 'vitest';
import { TestServer } from '../../fakes/test-server.ts';

let server: TestServer;
beforeEach(async () => {
  server = await TestServer.start();
});
afterEach(() => server.stop());

const ids = (lines: string) => [...lines.matchAll(/"id":(\d+)/g)].map(([, id]) => Number(id));
const follow = async (query: string) =>
  (await server.connect()).send(`GET /v1/events?follow=1${query} HTTP/1.1\r\nhost: x\r\n\r\n`);

it('gives the newest events, oldest first, one JSON document a line', async () => {
  for (let i = 0; i < 150; i++) server.broker.happen('served');
  const { body, headers } = await server.get('/v1/events');
  expect(headers['content-type']).toBe('application/x-ndjson');
  expect(ids(body)).toEqual(Array.from({ length: 100 }, (_, i) => i + 51));
  expect(JSON.parse(body.split('\n')[0] ?? '')).toMatchObject({ id: 51, kind: 'served', credential: 'anthropic' });
});

it('goes on after an event, keeps to a limit and to a credential', async () => {
  for (const name of ['a', 'b', 'a', 'b', 'a']) server.broker.happen('served', name);
  expect(ids((await server.get('/v1/events?after=2&limit=2')).body)).toEqual([3, 4]);
  expect(ids((await server.get('/v1/events?credential=a')).body)).toEqual([1, 3, 5]);
  expect((await server.get('/v1/events?limit=0')).body).toBe('');
  for (const bad of ['limit=x', 'limit=-1', 'limit=10001', 'after=1.5']) {
    expect((await server.get(`/v1/events?${bad}`)).status).toBe(400);
  }
});

it('follows: first what was asked for, then everything as it happens, until the reader goes', async () => {
  for (let i = 0; i < 3; i++) server.broker.happen('served');
  const reader = await follow('&limit=2');
  await reader.until((text) => ids(text).length === 2);
  server.broker.happen('refreshed');
  server.broker.happen('served', 'other');
  await reader.until((text) => ids(text).length === 4);
  expect(ids(reader.received)).toEqual([2, 3, 4, 5]);
  expect(server.broker.followers).toBe(1);
  reader.socket.destroy();
  while (server.broker.followers > 0) await new Promise(setImmediate);
});

it('follows from now on with limit=0, and only the credential asked for', async () => {
  server.broker.happen('served');
  const reader = await follow('&limit=0&credential=b');
  await reader.until((text) => text.includes('\r\n\r\n'));
  server.broker.happen('served', 'a');
  server.broker.happen('served', 'b');
  await reader.until((text) => ids(text).length === 1);
  expect(ids(reader.received)).toEqual([3]);
});

it('leaves out nothing when a follower has to catch up', async () => {
  for (let i = 0; i < 1_700; i++) server.broker.happen('served');
  const reader = await follow('&after=0&limit=10');
  await reader.until((text) => ids(text).length === 1_700);
  expect(ids(reader.received)).toEqual(Array.from({ length: 1_700 }, (_, i) => i + 1));
});

it('has a limit to its followers', async () => {
  const readers = await Promise.all(Array.from({ length: 32 }, () => follow('')));
  await Promise.all(readers.map((reader) => reader.until((text) => text.includes('200 OK'))));
  const one = await server.get('/v1/events?follow=1');
  expect(one.status).toBe(503);
  expect(JSON.parse(one.body)).toMatchObject({ code: 'ERR_OVERLOADED' });
});
