import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchRoute, RouteError } from '../../../src/server/routes.ts';

describe('matchRoute', () => {
  it.each([
    ['GET', '/v1/credentials/anthropic/key', { to: 'key', credential: 'anthropic', query: undefined }],
    ['GET', '/v1/credentials/a.b-c_d/key', { to: 'key', credential: 'a.b-c_d', query: undefined }],
    ['GET', '/v1/credentials/%61b/key', { to: 'key', credential: 'ab', query: undefined }],
    ['GET', '/v1/credentials/_default/key', { to: 'key', credential: undefined, query: undefined }],
    ['POST', '/v1/credentials/_default/refresh', { to: 'refresh', credential: undefined }],
    ['POST', '/v1/credentials/anthropic/invalidate?x=1', { to: 'invalidate', credential: 'anthropic' }],
    ['POST', '/v1/refresh', { to: 'refresh-all' }],
    ['GET', '/v1/status', { to: 'status' }],
    ['GET', '/v1/health', { to: 'health' }],
    ['GET', '/v1/metrics?', { to: 'metrics' }],
  ])('%s %s', (method, target, route) => {
    expect(matchRoute(method, target)).toEqual(route);
  });

  it.each([
    ['GET', '/', 404],
    ['GET', '/v1/__proto__', 404],
    ['GET', '/v1/credentials/a/b/key', 404],
    ['GET', '/v1/credentials/a/secret', 404],
    ['GET', '/v1/credentials/_other/key', 400],
    ['GET', '/v1/credentials//key', 400],
    ['GET', '/v1/credentials/a%2fb/key', 400],
    ['GET', '/v1/credentials/%ff/key', 400],
    ['GET', `/v1/credentials/${'a'.repeat(65)}/key`, 400],
    ['POST', '/v1/credentials/a/key', 405],
    ['HEAD', '/v1/status', 405],
    ['GET', '/v1/credentials/a/refresh', 405],
    ['GET', '/v1/refresh', 405],
  ])('%s %s: %i', (method, target, status) => {
    expect(() => matchRoute(method, target)).toThrow(expect.objectContaining({ status, code: 'ERR_USAGE' }));
  });

  it('answers anything at all with a route or a RouteError, and never echoes what cannot be printed', () => {
    const targets = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }).map((rest) => `/v1/credentials/${rest}`),
    );
    fc.assert(
      fc.property(fc.constantFrom('GET', 'POST', 'BREW'), targets, (method, target) => {
        try {
          matchRoute(method, target);
        } catch (error) {
          expect(error).toBeInstanceOf(RouteError);
          expect((error as RouteError).message).toMatch(/^[\x20-\x7e]{1,300}$/);
        }
      }),
    );
  });
});
