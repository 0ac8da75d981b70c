import { defineConfig } from 'vitest/config';

/** `npm run test:package`: packs, and installs what was packed as people do; needs the registry for the dependencies. */
export default defineConfig({
  test: {
    include: ['test/package/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 300_000,
    sequence: { shuffle: false },
  },
});
