import { defineConfig } from 'vitest/config';

/** What `npm run test:claude` runs inside a network namespace, with BROKER_TEST_CLAUDE naming the client. */
export default defineConfig({
  test: {
    include: ['test/claude/*.claude.test.ts'],
    sequence: { shuffle: true },
    // Every scenario is a daemon and a client, which mostly wait for each other.
    maxConcurrency: 4,
    testTimeout: 60_000,
    reporters: ['verbose'],
  },
});
