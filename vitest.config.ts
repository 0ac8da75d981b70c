import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

type ProjectOptions = NonNullable<TestProjectInlineConfiguration['test']>;

/** What has one server, one system or one registry for all its files. */
const ONE_AFTER_ANOTHER = { fileParallelism: false, sequence: { shuffle: false } };

/** For what inherits it; without it the broker of whoever runs the tests would be asked. The machines of others have none. */
const NO_BROKER = { env: { BROKER_SOCKET: '/nonexistent/broker.sock' } };

/** `npm test` runs the first three projects; the others need what the scripts named here set up. */
export default defineConfig({
  // Not in this folder, where the user of the project `systemd` may not write.
  cacheDir: join(tmpdir(), `broker-vitest-${process.getuid?.()}`),
  test: {
    globalSetup: ['test/global-setup.ts'],
    sequence: { shuffle: true },
    // Most of the time tests wait for processes.
    maxWorkers: 2 * availableParallelism(),
    // Real daemons, helpers and databases on shared two-core machines: a limit for hangs, not for speed.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { interval: 20, timeout: 30_000 } },
    // A shared machine may stop a process for longer than a daemon, a helper or a client waits; what fails twice is a fault.
    // Each repetition is told. Elsewhere a test that fails once is to be looked at.
    retry: process.env['CI'] ? 1 : 0,
    projects: [
      // None of these leaves anything behind in its process, so that the next file need not begin with a new one.
      project('unit', 'test/{unit,property}/**/*.test.ts', { isolate: false, ...NO_BROKER }),
      project('process', 'test/{cli,fleet,integration,keyring,native,upgrade}/**/*.test.ts', {
        exclude: ['**/*.moto.test.ts'],
        globalSetup: ['test/usual-place.ts'],
        ...NO_BROKER,
      }),
      project('slow', 'test/{conformance,fault,fuzz,simulation}/**/*.test.ts', {
        exclude: ['**/*.moto.test.ts'],
        ...NO_BROKER,
      }),
      // npm run test:aws. The server keeps one set of secrets and one switch for permissions.
      project('moto', 'test/**/*.moto.test.ts', { fileParallelism: false }),
      // npm run test:oidc. One server for all of them.
      project('oidc', 'test/oidc/*.oidc.test.ts', ONE_AFTER_ANOTHER),
      // npm run test:claude. Every scenario is a daemon and a client, which mostly wait for each other.
      project('claude', 'test/claude/*.claude.test.ts', { maxConcurrency: 4 }),
      // npm run test:systemd: as a user, then for every user as root of a machine.
      project('systemd', 'test/systemd/*.systemd.test.ts', ONE_AFTER_ANOTHER),
      project('machine', 'test/systemd/*.machine.test.ts', ONE_AFTER_ANOTHER),
      // npm run test:package. It needs the registry for the dependencies.
      project('package', 'test/package/*.test.ts', {
        hookTimeout: 300_000,
        ...ONE_AFTER_ANOTHER,
      }),
    ],
  },
});

function project(name: string, files: string, options: ProjectOptions = {}): TestProjectInlineConfiguration {
  return { extends: true, test: { name, include: [files], ...options } };
}
