import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/*.moto.test.ts', 'test/**/*.claude.test.ts', 'test/systemd/**', 'test/package/**'],
    globalSetup: ['test/global-setup.ts'],
    sequence: { shuffle: true },
    // By default one processor is left idle, which of two is half.
    maxWorkers: '100%',
    // Real daemons, helpers and databases on shared two-core machines: a limit for hangs, not for speed.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
