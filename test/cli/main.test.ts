import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { terminalDialogue } from '../../src/cli/commands/login.ts';
import { main } from '../../src/cli/main.ts';
import { listTopics } from '../../src/cli/topics.ts';
import { BrokerError } from '../../src/errors.ts';
import { FakeIo } from '../fakes/fake-io.ts';

const ROOT = join(import.meta.dirname, '..', '..');

let folder: string;
let io: FakeIo;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'broker-cli-'));
  writeFileSync(join(folder, 'config.toml'), '');
  io = new FakeIo({
    BROKER_SOCKET: join(folder, 'broker.sock'),
    BROKER_CONFIG: join(folder, 'config.toml'),
    BROKER_STATE_DIR: join(folder, 'state'),
  });
});
afterEach(() => rmSync(folder, { recursive: true }));

it('prints its version and its help on standard output', async () => {
  expect(await io.run('--version')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
  });
  io.out = '';
  const { out, code } = await io.run('--help');
  expect(code).toBe(0);
  for (const command of ['get', 'status', 'refresh', 'invalidate', 'events', 'config', 'daemon']) {
    expect(out).toMatch(new RegExp(`^  ${command} `, 'm'));
  }
  expect(io.err).toBe('');
});

it.each([['status'], ['help status']])('shows the whole help of a command (%s)', async (words) => {
  const { out, code } = await io.run(...words.split(' '), ...(words === 'status' ? ['--help'] : []));
  expect([code, io.err]).toEqual([0, '']);
  expect(out).toMatch(/Usage: broker status[\s\S]*--watch/);
});

it.each([
  ['nothing', []],
  ['an unknown command', ['stats']],
  ['an unknown option', ['status', '--jsn']],
  ['too many words', ['get', 'a', 'b']],
])('takes %s for a mistake in usage', async (_, args) => {
  const { code, out, err } = await io.run(...args);
  expect([code, out]).toEqual([64, '']);
  expect(err).not.toBe('');
});

it.each([[['ODD']], [['get', '--format', 'ODD']], [['doctor', '--who', 'ODD']], [['help', 'ODD']]])(
  'repeats nothing of %j that a terminal would obey',
  async (args) => {
    const { code, err } = await io.run(
      ...args.map((word) => word.replace('ODD', 'a\x1b]0;t\x07\x1b[31mb\x9b\u202ec\r')),
    );
    expect(code).toBe(64);
    expect(err).not.toMatch(/[^\P{C}\n]/u);
    expect(err).toMatch(/ab\S*c/);
  },
);

it('knows what was meant', async () => {
  expect((await io.run('stats')).err).toContain('Did you mean status?');
});

it.each([
  ['broker', ['--jsn']],
  ['broker', ['stats']],
  ['broker status', ['status', '--jsn']],
  ['broker config validate', ['config', 'validate', '--jsn']],
  ['broker service', ['service', 'instal']],
])('points to the help of %s for %j', async (command, args) => {
  expect((await io.run(...args)).err).toMatch(new RegExp(`\\nhint: see ${command} --help\\n$`));
});

it('says how to start the daemon when none answers', async () => {
  expect(await io.run('status')).toEqual({
    code: 69,
    out: expect.stringMatching(/^Nothing can be served\.\nconfiguration /),
    err: `error: no daemon answers at ${folder}/broker.sock\nhint: start it: broker service install, or broker daemon in a terminal\n`,
  });
  mkdirSync(join(folder, 'state'));
  writeFileSync(join(folder, 'state', 'launch'), '');
  io.err = '';
  expect((await io.run('status')).err).toContain(
    'hint: start it: broker service start, or broker daemon in a terminal',
  );
});

it('points to the help of the command that an option was put before', async () => {
  expect((await io.run('--json', 'status')).err).toMatch(/\nhint: see broker status --help\n$/);
});

describe('on a new machine', () => {
  beforeEach(() => {
    Object.assign(io.env, {
      BROKER_CONFIG: join(folder, 'none.toml'),
      XDG_RUNTIME_DIR: folder,
      CLAUDE_CONFIG_DIR: join(folder, 'claude'),
    });
  });

  it.each(
    [
      [
        'get',
        'status',
        'refresh',
        'check',
        'events',
        'rotate-key',
        'doctor',
        'daemon',
        'invalidate',
        'login',
        'logout',
      ],
      ['set', 'unset', 'get work', 'status --json', 'refresh --all', 'events --follow', 'login vault', 'logout vault'],
      ['invalidate work', 'config validate', 'config show', 'service start', 'service stop', 'service restart'],
      ['service status', 'service logs', 'claude show', 'claude install', 'help', '--help'],
    ].flat(),
  )('broker %s leads to broker setup in one step', async (words) => {
    const { out, err } = await io.run(...words.split(' '));
    expect(`${out}${err}`).toMatch(/broker setup|^ {2}setup /m);
    expect(`${out}${err}`).not.toMatch(/broker service (?:start|install)|broker daemon/);
  });

  it('says that it may be the socket that is wrong, where one is named', async () => {
    io.env['BROKER_SOCKET'] = join(folder, 'elsewhere.sock');
    expect((await io.run('status')).err).toBe(
      `error: no daemon answers at ${folder}/elsewhere.sock\nhint: run broker setup, as there is no ${folder}/none.toml; or start the daemon that BROKER_SOCKET leads to\n`,
    );
  });
});

describe('broker help', () => {
  it('lists the pages of the manual, each in one line', async () => {
    const { out, code } = await io.run('help', 'topics');
    expect(code).toBe(0);
    const pages = globSync('docs/**/*.md', { cwd: ROOT });
    expect(out.trimEnd().split('\n').slice(1)).toHaveLength(pages.length);
    expect(out).toMatch(/^ {2}configuration +Configuration: every table and key of config\.toml$/m);
  });

  it.each(globSync('docs/**/*.md', { cwd: ROOT }))('prints %s under its own name, and by its path', async (page) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    expect((await io.run('help', page)).out.endsWith(text)).toBe(true);
    io.out = '';
    expect((await io.run('help', page.replace(/^docs\//, '').replace(/\.md$/, ''))).out.endsWith(text)).toBe(true);
  });

  it('prints the help of a command, and then the page of that name', async () => {
    const { out } = await io.run('help', 'setup');
    expect(out).toMatch(/^Usage: broker setup \[options\]\n/);
    expect(out).toContain(readFileSync(join(ROOT, 'docs', 'setup.md'), 'utf8'));
    io.out = '';
    expect((await io.run('help', 'service', 'install')).out).toMatch(/^Usage: broker service install/);
  });

  it('is not the help of something else: --help of a command that there is not says so', async () => {
    for (const [words, said] of [
      [['statusx', '--help'], "error: unknown command 'statusx'\n(Did you mean status?)\nhint: see broker --help\n"],
      [
        ['claude', 'instal', '-h'],
        "error: unknown command 'instal'\n(Did you mean install?)\nhint: see broker claude --help\n",
      ],
    ] as const) {
      Object.assign(io, { out: '', err: '' });
      expect(await io.run(...words)).toMatchObject({ code: 64, out: '', err: said });
    }
    io.err = '';
    expect(await io.run('claude', '--help')).toMatchObject({ code: 0, err: '' });
  });

  it('is where --help of a command points to that has a page', async () => {
    expect((await io.run('setup', '--help')).out).toContain('\nAt length: broker help setup\n');
    io.out = '';
    expect((await io.run('refresh', '--help')).out).not.toContain('At length');
  });

  it('names what was most likely meant', async () => {
    const { code, err } = await io.run('help', 'provider/valt');
    expect(code).toBe(64);
    expect((await io.run('help', 'valt')).err).toContain('try: broker help vault');
    expect(err).toContain('all pages: broker help topics');
  });

  it('shows links as what can be typed in a terminal, through the pager', async () => {
    io.stdoutIsTty = true;
    io.env['PAGER'] = 'cat';
    const { out } = await io.run('help', 'exec');
    expect(out).not.toMatch(/\]\([\w./-]+\.md/);
    expect((await io.run('help', 'freshness')).out).toContain('\x1b[1m# When a key is fit to serve');
  });
});

it('names no page of the docs in a message in any other way', () => {
  const sources = globSync('src/**/*.ts', { cwd: ROOT }).map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]);
  const lines = sources.flatMap(([file, text = '']) =>
    text.split('\n').flatMap((line) => (/^\s*(?:\/\/|\/?\*)/.test(line) ? [] : [[file, line] as const])),
  );
  expect(lines.filter(([, line]) => /docs\/[\w/-]+\.md(?! \(broker help)/.test(line))).toEqual([]);
  const named = lines.flatMap(([, line]) => [...line.matchAll(/broker help ([a-z][\w/-]*)/g)].map(([, name]) => name));
  expect(named.length).toBeGreaterThan(10);
  const known = [...listTopics().map(({ name }) => name), 'topics'];
  expect(named.filter((name = '') => !known.includes(name))).toEqual([]);
});

it.each([
  [
    74,
    Object.assign(new Error('no'), { code: 'EROFS', syscall: 'mkdir', path: '/x' }),
    /^error: the system refuses mkdir \/x \(EROFS\)\nhint: /,
  ],
  [
    74,
    Object.assign(new Error('no'), { code: 'ENOENT', syscall: 'spawn x', path: 'x' }),
    /^error: the system refuses spawn x \(ENOENT\)\nhint: /,
  ],
  [70, new TypeError('of ours'), /^error: broker failed: of ours\nhint: .* report what it prints\n$/],
] as const)('exits with %d, and asks for a report only of a fault of its own', async (code, error, said) => {
  await main(['fail'], io, [{ name: 'fail', summary: 'fails', load: () => Promise.reject(error) }]);
  expect(io.err).toMatch(said);
  expect(io.code).toBe(code);
});

it('that is interrupted says so, and asks for no report', async () => {
  io.stop.abort();
  await main(['fail'], io, [{ name: 'fail', summary: 'waits', load: () => Promise.reject(io.signal.reason) }]);
  expect([io.err, io.code]).toEqual(['error: cancelled\n', 64]);
});

it.each(['javascript:alert(1)', 'file:///etc/passwd', '--help'])(
  'does not open %s, which a server names as its login page',
  async (address) => {
    io.env['BROWSER'] = join(folder, 'no-browser');
    const dialogue = terminalDialogue(io, { browser: true, passwordFromStdin: false, command: 'broker login corp' });
    await expect(dialogue.showPage(address)).rejects.toMatchObject({ kind: 'misconfigured' });
    dialogue.say('a code\nof \u001b[31mred\u0007');
    expect(io.err).toBe('a code\nof red\n');
  },
);

describe('--verbose', () => {
  const fails = [
    {
      name: 'fail',
      summary: 'fails',
      load: () => Promise.reject(new BrokerError('ERR_IO', 'outer', { cause: new Error('inner') })),
    },
  ];

  it('shows the stack and its causes, which are hidden otherwise', async () => {
    await main(['fail'], io, fails);
    expect(io.err).toBe('error: outer\n');
    await main(['fail', '--verbose'], io, fails);
    expect(io.err).toMatch(/BrokerError: outer\n {4}at [\s\S]*caused by Error: inner\n {4}at /);
    expect(io.code).toBe(74);
  });

  it.each([[['claude', 'install', '--scope', 'file']], [['config', 'path']], [['setup', '--provider', 'vault']]])(
    'shows it for %j as well',
    async (args) => {
      io.env['BROKER_CONFIG'] = 'relative';
      await io.run(...args, '--verbose');
      expect(io.err).toMatch(/^BrokerError: .*\n {4}at [\s\S]*\nerror: /);
    },
  );
});

describe('as a process', () => {
  const MAIN = new URL('../../src/cli/main.ts', import.meta.url).href;
  const IO = new URL('../../src/platform/process-io.ts', import.meta.url).href;
  const START = `const { main } = await import(${JSON.stringify(MAIN)}); const { processIo } = await import(${JSON.stringify(IO)}); await main(process.argv.slice(1), processIo());`;
  const broker = (...args: string[]) =>
    spawnSync(process.execPath, ['--input-type=module', '-e', START, '--', ...args], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: folder, BROKER_SOCKET: join(folder, 'broker.sock') },
    });

  it('exits with the code and says why on standard error', () => {
    const { status, stdout, stderr } = broker('get');
    expect([status, stdout]).toEqual([69, '']);
    expect(stderr).toMatch(/^broker: no daemon answers at .*\n$/);
  });

  it.each([['status --json'], ['events'], ['get']])(
    'loads nothing of the daemon for a question to it: %s',
    async (words) => {
      const daemon = createServer((_, response) => response.end(JSON.stringify({ daemon: {}, credentials: [] })));
      const socket = join(folder, 'broker.sock');
      await once(daemon.listen(socket), 'listening');
      const env = { PATH: process.env['PATH'], HOME: folder, BROKER_SOCKET: socket, NODE_DEBUG: 'esm' };
      const args = ['--input-type=module', '-e', START, '--', ...words.split(' ')];
      const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
      const loaded = new Set<string>();
      for await (const line of createInterface(child.stderr)) {
        const [, file] = /Translating TypeScript \S+\/src\/(\S+)/.exec(line) ?? [];
        if (file !== undefined) loaded.add(file);
      }
      daemon.close();
      expect(loaded).toContain('client/broker-client.ts');
      expect([...loaded].filter((file) => /^(?:broker|cache|server|daemon|providers)\//.test(file))).toEqual([]);
    },
  );
});
