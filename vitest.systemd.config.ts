import { tmpdir } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Run by test/systemd/run.ts, as a user who may not write here. */
export default defineConfig({
  cacheDir: tmpdir(),
  test: {
    include: ['test/systemd/**/*.systemd.test.ts'],
    fileParallelism: false,
    sequence: { shuffle: false },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
