import { tmpdir } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Run by test/systemd/run.ts, as a user who may not write here; what is for root of a whole machine as root. */
export default defineConfig({
  cacheDir: tmpdir(),
  test: {
    include: [`test/systemd/*.${process.env['BROKER_TEST_AS_ROOT'] ? 'machine' : 'systemd'}.test.ts`],
    passWithNoTests: process.argv.length > 4,
    fileParallelism: false,
    sequence: { shuffle: false },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
