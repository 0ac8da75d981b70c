import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { ADDON_SOURCES, compile, compiles, HELPER_SOURCES, RUNNER_SOURCES } from './compile.ts';
import { FakeDaemon, GOOD_REPLY, KEY, sends } from './fake-daemon.ts';
import { REPLIES } from './replies.ts';
import { expectFailure, expectKey, run } from './run-helper.ts';

const STRICT = ['-O2', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion', '-Werror'];
const SANITIZERS = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** The helper forbids to be looked at, which the leak checker would have to do; it allocates nothing anyway. */
const SANITIZED_ENV = { ASAN_OPTIONS: 'detect_leaks=0' };

const headers = createRequire(import.meta.url)('node-api-headers') as { readonly include_dir: string };
const addonFlags = ['-fPIC', '-shared', '-isystem', headers.include_dir];
const addonLink = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : [];

describe.each(['gcc', 'clang'])('%s', (compiler) => {
  const usable = compiles(compiler);

  test.skipIf(!usable)('has no warning for the helper and broker-run', () => {
    for (const sources of [HELPER_SOURCES, RUNNER_SOURCES]) {
      using result = compile(compiler, sources, STRICT);
      expect(result.complaints).toBe('');
    }
  });

  test.skipIf(!usable)('has no warning for the addon', () => {
    using result = compile(compiler, ADDON_SOURCES, [...STRICT, ...addonFlags, ...addonLink]);
    expect(result.complaints).toBe('');
  });

  test.skipIf(!usable || !compiles(compiler, SANITIZERS))('its sanitizers are content with every reply', async () => {
    using result = compile(compiler, HELPER_SOURCES, SANITIZERS);
    expect(result.complaints).toBe('');

    for (const { bytes, args = [], prints, code = 0, says } of REPLIES) {
      await using daemon = await FakeDaemon.start(sends(bytes));
      const outcome = await run(result.file, args, { ...SANITIZED_ENV, BROKER_SOCKET: daemon.socket });
      if (prints === undefined) expectFailure(outcome, code, says);
      else expectKey(outcome, prints);
    }
    for (let cut = 0; cut < GOOD_REPLY.length; cut++) {
      await using daemon = await FakeDaemon.start(sends(GOOD_REPLY.slice(0, cut)), sends(GOOD_REPLY));
      const outcome = await run(result.file, [], { ...SANITIZED_ENV, BROKER_SOCKET: daemon.socket });
      if (cut <= GOOD_REPLY.indexOf('\n')) expectKey(outcome, KEY);
      else expectFailure(outcome, 69);
    }
  });
});

describe('ways to link', () => {
  test.each([
    ['musl-gcc', ['-static']],
    ['cc', ['-static']],
    ['cc', []],
  ])('%s %j: the same answers', async (compiler, flags) => {
    if (!compiles(compiler, flags)) return;
    using result = compile(compiler, HELPER_SOURCES, ['-O2', ...flags]);
    expect(result.complaints).toBe('');
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));

    expectKey(await run(result.file, [], { BROKER_SOCKET: daemon.socket }), KEY);
    expectFailure(await run(result.file, [], { BROKER_SOCKET: '/nowhere/at/all' }), 69, /not running/);
  });
});
