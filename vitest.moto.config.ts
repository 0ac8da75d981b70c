import { defineConfig } from 'vitest/config';

/** What `npm run test:aws` runs, with BROKER_TEST_MOTO naming the server. */
export default defineConfig({
  test: {
    include: ['test/**/*.moto.test.ts'],
    sequence: { shuffle: true },
    // One server keeps one set of secrets and one switch for permissions.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
