import { globSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildProgram, COMMANDS } from '../../src/cli/program.ts';
import { launchFile } from '../../src/config/paths.ts';
import { PROGRAM } from '../fakes/daemon-process.ts';
import { FakeIo } from '../fakes/fake-io.ts';
import { until } from '../fakes/processes.ts';
import { CONFIG, TemporaryHome } from '../fakes/temporary-home.ts';
import { typedCommands } from '../fakes/typed-commands.ts';
import { helper, type Outcome, run } from '../native/run-helper.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');

let program: Command;
beforeAll(async () => {
  program = await buildProgram(new FakeIo(), COMMANDS, () => true);
});

describe('what a message tells to type', () => {
  const sources = ['src/**/*.ts', 'native/*.c', 'docs/provider-answers.md', 'docs/doctor.md'];

  it('is a command that there is, with options that it has', () => {
    const found = globSync(sources, { cwd: ROOT }).flatMap((file) =>
      readFileSync(path.join(ROOT, file), 'utf8')
        .split('\n')
        .flatMap((line, at) =>
          /^\s*(?:\/\/|\/?\*)/.test(line)
            ? []
            : typedCommands(line, program).map((each) => ({ ...each, where: `${file}:${at + 1}` })),
        ),
    );
    expect(found.filter(({ fault }) => fault !== undefined)).toEqual([]);
    expect(found.length).toBeGreaterThan(200);
  });

  it('is noticed where it is wrong', () => {
    const faults = (text: string) => typedCommands(text, program).map(({ fault }) => fault);
    expect(faults('run: broker stauts')).toEqual(['there is no command stauts']);
    expect(faults('see `broker service`; or run: broker get --al')).toEqual([
      'service alone is no command',
      'get has no --al',
    ]);
    expect(faults('run: broker service install --sandbox basic; the broker keeps trying')).toEqual([undefined]);
  });
});

/** Not to be followed here: they ask a person, run on, or only print. */
const LAST = ['setup', 'daemon', 'help', 'events', 'bugreport', 'doctor'];

/** Does what each answer tells, until there is nothing more to type. @throws Error if that leads in a circle. */
async function follow(user: TemporaryHome, first: readonly string[]): Promise<readonly string[]> {
  const env = { ...user.env, PATH: '/usr/bin:/bin' };
  const walked: string[] = [];
  for (let words: readonly string[] | undefined = first; words !== undefined; ) {
    const line = words.join(' ');
    if (walked.includes(line)) throw new Error(`in a circle: ${[...walked, line].join(' → ')}`);
    walked.push(line);
    const outcome: Outcome = await (words[0] === 'broker-key'
      ? run(helper ?? '', words.slice(1), env)
      : run(process.execPath, [PROGRAM, ...words], env));
    if (outcome.code === 0) return [...walked, 'done'];
    const hints: readonly string[] = outcome.stderr.match(/hint: .*/g) ?? [];
    const next = typedCommands(hints.length === 0 ? outcome.stderr : hints.join('\n'), program)[0];
    words = next === undefined || LAST.includes(next.words[0] ?? '') ? undefined : next.words;
    if (next !== undefined && words === undefined) walked.push(next.words.join(' '));
  }
  return walked;
}

const installed = async (user: TemporaryHome, ...more: string[]) => {
  const { code, stderr } = await run(process.execPath, [PROGRAM, 'service', 'install', ...more], user.env);
  if (code !== 0) throw new Error(stderr);
};

const FAILS = `${CONFIG}[credentials.fails]
provider = "command"
command = ["/bin/sh", "-c", "echo 'you are not logged in' >&2; exit 1"]
[credentials.vault]
provider = "vault"
path = "secret/data/x"
[providers.vault]
type = "vault"
address = "http://127.0.0.1:9"
auth = { method = "oidc" }
`;

interface Situation {
  readonly config?: string;
  readonly make?: (user: TemporaryHome) => Promise<void> | void;
  /** What is typed first, and how the walk ends. */
  readonly walks: readonly (readonly [typed: string, end: string | RegExp])[];
}

const SITUATIONS: Readonly<Record<string, Situation>> = {
  'a new machine': {
    make: (user) => rmSync(user.config),
    walks: [
      ['broker-key', 'setup'],
      ['get', 'setup'],
      ['status', 'setup'],
      ['service start', 'setup'],
      ['service restart', 'setup'],
      ['service stop', 'setup'],
      ['service install', 'setup'],
      ['service logs', 'setup'],
      ['login vault', 'setup'],
      ['config validate', 'setup'],
      ['set key', 'setup'],
    ],
  },
  'a configuration, and nothing installed': {
    walks: [
      ['broker-key', 'daemon'],
      ['status', 'done'],
      ['service restart', 'done'],
    ],
  },
  'a configuration with faults': {
    config: CONFIG.replace('type', 'typ'),
    walks: [
      ['status', 'service install'],
      ['service install', /validate|install$/],
      ['config validate', /validate$/],
    ],
  },
  'a service that was stopped': {
    make: async (user) => {
      await installed(user);
      await run(process.execPath, [PROGRAM, 'service', 'stop'], user.env);
    },
    walks: [
      ['broker-key', 'done'],
      ['status', 'done'],
    ],
  },
  'a daemon that was killed, and nothing starts another': {
    make: async (user) => {
      await installed(user, '--no-autostart');
      await user.stopDaemon();
    },
    walks: [
      ['broker-key', 'daemon'],
      ['get', 'done'],
    ],
  },
  'a daemon that listens elsewhere': {
    make: async (user) => {
      await installed(user);
      user.env['BROKER_SOCKET'] = path.join(user.runtime, 'nothing.sock');
    },
    walks: [
      ['broker-key', 'done'],
      ['status', 'done'],
    ],
  },
  'a package that was moved': {
    make: async (user) => {
      await installed(user);
      await user.stopDaemon();
      const file = launchFile(user.state);
      writeFileSync(file, readFileSync(file, 'utf8').replace(PROGRAM, '/gone/broker.mjs'));
    },
    walks: [
      ['broker-key', 'done'],
      ['service start', 'done'],
    ],
  },
  'a key for the cache that is lost': {
    make: async (user) => {
      await installed(user);
      await run(helper ?? '', [], user.env);
      await user.stopDaemon();
      renameSync(path.join(user.state, 'kek'), path.join(user.path, 'kek'));
      await installed(user);
    },
    walks: [['rotate-key', 'done']],
  },
  'keys that cannot be had': {
    config: FAILS,
    make: (user) => installed(user),
    walks: [
      ['broker-key fails', /fails$/],
      ['broker-key nope', 'broker-key nope'],
      ['broker-key vault', /^login vault$/],
      ['refresh fails', 'refresh fails'],
      ['login vault', 'login vault'],
      ['login command', /./],
      ['logout command', /./],
      ['check', /./],
      ['set key', 'set key'],
      ['invalidate nope', 'invalidate nope'],
    ],
  },
  'a running daemon whose file has got a fault': {
    config: FAILS,
    make: async (user) => {
      await installed(user);
      writeFileSync(user.config, FAILS.replace('type', 'typ'));
      const faulty = async () => (await run(helper ?? '', ['nope'], user.env)).stderr.includes('has a fault');
      await until(faulty);
    },
    walks: [
      ['broker-key nope', 'config validate'],
      ['service restart', 'config validate'],
    ],
  },
};

describe.skipIf(helper === undefined)('a remedy that is followed leads on, and never in a circle', () => {
  describe.each(Object.entries(SITUATIONS))('%s', (_, { config, make, walks }) => {
    it.each(walks)('from %s', async (typed, end) => {
      await using user = new TemporaryHome(config);
      await make?.(user);
      const walked = await follow(user, typed.split(' '));
      expect(walked.at(-1), walked.join(' → ')).toMatch(typeof end === 'string' ? new RegExp(`^${end}$`) : end);
      expect(walked.length).toBeLessThanOrEqual(4);
    });
  });
});
