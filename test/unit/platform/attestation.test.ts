import { describe, expect, it } from 'vitest';
import {
  type AllowWord,
  type CallerFacts,
  type CallerRefused,
  type Enrolment,
  judgeCaller,
  type ProcessView,
} from '../../../src/platform/attestation.ts';

const UID = 1000;
const LINE = '/home/u/.local/state/broker/bin/broker-key';
const WRAPPED = "timeout 9 /home/u/bin/key 'a b'";
const NATIVE = '/home/u/.local/share/claude/versions/2.1.332';
const NPM = '/usr/lib/node_modules/@anthropic-ai/claude-code/bin/claude.exe';
const INSIDE = { surroundings: '1 0 0 4294967295 22 4026531916', namespaces: 'pid:[1] mnt:[2] user:[3] net:[4]' };
const SANDBOX = { surroundings: '2 1000 1000 1 901 4026539999', namespaces: 'pid:[7] mnt:[8] user:[9] net:[10]' };
const enrolment: Enrolment = {
  lines: [
    { line: LINE, words: [LINE] },
    { line: WRAPPED, words: ['timeout', '9', '/home/u/bin/key', 'a b'] },
    { line: `exec ${LINE}`, words: [LINE] },
    { line: `${LINE} | cat`, words: [] },
  ],
  clients: [{ id: '7:42', path: '/opt/odd/claude' }],
};

type Fake = Partial<ProcessView>;

/** Who asks first, then its parents; what is not said is as in the client's session, with C as session 50. */
function chainOf(...fakes: readonly Fake[]): ProcessView[] {
  return fakes.map((fake, depth) => ({
    pid: 100 - depth,
    ppid: 99 - depth,
    startTime: String(1000 - depth),
    name: 'name',
    session: 50,
    hasTerminal: false,
    uids: `${UID} ${UID} ${UID} ${UID}`,
    noNewPrivileges: false,
    ...INSIDE,
    executable: { path: '/usr/bin/thing', id: '1:1' },
    argv: ['thing'],
    ...fake,
  }));
}

/** The helper hides itself from everybody (PR_SET_DUMPABLE). */
const KEY: Fake = { name: 'broker-key', executable: undefined, namespaces: undefined, argv: [LINE] };
const sh = (line = LINE): Fake => ({ name: 'sh', argv: ['/bin/sh', '-c', line] });
const program = (...argv: string[]): Fake => ({ name: argv[0] ?? '', argv });
const client = (path = NATIVE, more: Fake = {}): Fake => ({
  name: 'claude',
  executable: { path, id: '9:9' },
  argv: ['claude'],
  ...more,
});
const TERMINAL: readonly Fake[] = [program('bash'), program('tmux'), { ...program('init'), executable: undefined }];
const NODE = client('/usr/bin/node', { argv: ['node', '/n/@anthropic-ai/claude-code/cli.js'] });
const inSession = (session: number, ...fakes: Fake[]): Fake[] => fakes.map((fake) => ({ ...fake, session }));

function judge(fakes: readonly Fake[], allow: readonly AllowWord[] = ['claude-code'], byAgent = false) {
  const facts: CallerFacts = { chain: chainOf(...fakes), startedByAgent: () => byAgent };
  return judgeCaller(facts, allow, enrolment, UID);
}

const clauseOf = (fakes: readonly Fake[], allow?: readonly AllowWord[], byAgent?: boolean) => {
  const verdict = judge(fakes, allow, byAgent);
  return verdict.allowed ? 'served' : verdict.clause;
};

describe('served: the client’s own helper call', () => {
  it.each<[string, readonly Fake[]]>([
    ['sh waits for the helper', [KEY, sh(), client(), ...TERMINAL]],
    ['sh has replaced itself by the helper', [KEY, client(), ...TERMINAL]],
    ['exec in the line', [KEY, client(), ...TERMINAL]],
    ['npm’s file', [KEY, sh(), client(NPM), ...TERMINAL]],
    ['the Agent SDK’s', [KEY, sh(), client('/app/node_modules/@anthropic-ai/claude-agent-sdk-linux-x64/claude')]],
    ['a client that an update replaced', [KEY, sh(), client(`${NATIVE} (deleted)`), ...TERMINAL]],
    ['a client that is enrolled', [KEY, sh(), client('/opt/odd/claude', { executable: { path: '/x', id: '7:42' } })]],
    ['through npm’s wrapper', [KEY, sh(), client(NPM), program('node', '/usr/bin/claude'), ...TERMINAL]],
    [
      'a recorded wrapper with a process group of its own',
      [KEY, program('timeout', '9', '/home/u/bin/key', 'a b'), client()],
    ],
    ['a recorded pipe', [KEY, sh(`${LINE} | cat`), client(), ...TERMINAL]],
    [
      'bash, python and node in a recorded wrapper',
      [KEY, program('node'), program('python3'), program('bash'), sh(WRAPPED), client()],
    ],
    [
      'a client whose parents cannot be seen',
      [KEY, sh(), client(), { executable: undefined, argv: undefined, uids: '0 0 0 0' }],
    ],
  ])('%s', (_, fakes) => {
    expect(judge(fakes)).toMatchObject({ allowed: true, client: { name: 'claude' } });
  });
});

describe('refused: everything else that a client runs', () => {
  const bash = program('/bin/bash', '-c', "source /s.sh && eval 'broker-key'");
  it.each<[string, string, RegExp, readonly Fake[]]>([
    ['the Bash tool', 'session', /agent's shell/, [...inSession(98, KEY, bash), client(), ...TERMINAL]],
    ['the Bash tool, exec-ed', 'session', /agent's shell, a hook/, [...inSession(99, KEY), client(), ...TERMINAL]],
    ['setsid in the Bash tool', 'session', /agent's shell/, [...inSession(99, KEY), ...inSession(98, bash), client()]],
    [
      'a shell of the Bash tool that runs LINE',
      'session',
      /hook|agent's shell/,
      [...inSession(98, KEY, sh(), bash), client()],
    ],
    ['exec into a perfect chain', 'session', /./, [...inSession(98, KEY, sh()), client(), ...TERMINAL]],
    ['CLONE_PARENT: the client is its parent', 'session', /./, [...inSession(98, KEY), client(), ...TERMINAL]],
    [
      'under script, with a terminal of its own',
      'session',
      /./,
      [{ ...KEY, session: 97, hasTerminal: true }, program('script'), client()],
    ],
    ['a hook, the status line', 'session', /hook/, [...inSession(98, KEY, sh('fmt.sh')), client(), ...TERMINAL]],
    ['a hook whose line is LINE', 'session', /hook/, [...inSession(98, KEY, sh()), client(), ...TERMINAL]],
    ['a helper wrapped in setsid', 'session', /./, [...inSession(99, KEY), program('setsid'), sh(), client()]],
    [
      'a sandboxed command',
      'session',
      /sandboxed/,
      [{ ...KEY, ...SANDBOX, noNewPrivileges: true, session: 98 }, program('bwrap'), client()],
    ],
    [
      'a sandboxed command in the client’s session',
      'namespaces',
      /sandboxed/,
      [{ ...KEY, ...SANDBOX, noNewPrivileges: true }, sh(), client()],
    ],
    ['one that is restricted', 'privileges', /./, [{ ...KEY, noNewPrivileges: true }, sh(), client(), ...TERMINAL]],
    ['another uid between (sudo)', 'user', /./, [KEY, { ...program('sudo'), uids: '1000 0 0 0' }, sh(), client()]],
    ['a hidden process between', 'namespaces', /./, [KEY, { ...sh(), namespaces: undefined }, client(), ...TERMINAL]],
    [
      'facts that cannot be read',
      'namespaces',
      /./,
      [{ ...KEY, surroundings: undefined }, sh(), client(), ...TERMINAL],
    ],
    ['a stdio MCP server’s child', 'line', /MCP server/, [KEY, program('node', 'server.js'), client(), ...TERMINAL]],
    ['a stdio MCP server itself', 'line', /MCP server/, [program('python3', 'server.py'), client(), ...TERMINAL]],
    ['a changed helper line', 'line', /not recorded/, [KEY, sh(`${LINE} other`), client(), ...TERMINAL]],
    [
      'a helper line by other words',
      'line',
      /not recorded/,
      [{ ...KEY, argv: [LINE, 'other'] }, client(), ...TERMINAL],
    ],
    ['LINE run by another shell', 'line', /./, [KEY, program('/bin/bash', '-c', LINE), client(), ...TERMINAL]],
    ['LINE further down than the client’s child', 'line', /MCP/, [KEY, sh(), program('server'), client(), ...TERMINAL]],
    [
      'a nested client',
      'nested',
      /an agent has started/,
      [KEY, sh(), client(), program('bash'), client(), ...TERMINAL],
    ],
    [
      'a nested client, unset',
      'nested',
      /an agent/,
      [KEY, sh(), client(), program('env'), program('bash'), client(NPM)],
    ],
  ])('%s', (_, clause, taken, fakes) => {
    const verdict = judge(fakes);
    expect(verdict).toMatchObject({ allowed: false, clause });
    expect((verdict as CallerRefused).taken).toMatch(taken);
    expect((verdict as CallerRefused).remedy).not.toBe('');
  });

  it('a client that was started with CLAUDECODE', () => {
    expect(clauseOf([KEY, sh(), client(), ...TERMINAL], ['claude-code'], true)).toBe('nested');
  });
});

describe('refused: whatever no client runs', () => {
  it.each<[string, string, readonly Fake[]]>([
    ['a person’s shell', 'a command in a terminal', [{ ...KEY, hasTerminal: true }, ...TERMINAL]],
    ['cron', "another program's call", [KEY, sh(), program('cron')]],
    [
      'broker get',
      'a command in a terminal',
      [{ ...program('node', 'broker', 'get'), hasTerminal: true }, ...TERMINAL],
    ],
    ['a double fork to init', "another program's call", [KEY, { ...program('init'), executable: undefined }]],
    [
      'a program that calls itself claude',
      'a call of another program',
      [KEY, sh(), client('/tmp/x/claude'), ...TERMINAL],
    ],
    ['the old Node client', 'a call of the old Node client', [KEY, sh(), NODE, ...TERMINAL]],
    ['a client seventeen parents up', "another program's call", [KEY, ...Array<Fake>(16).fill(sh()), client()]],
    [
      'a client of which nothing can be seen',
      'a call of another program',
      [KEY, sh(), client(NATIVE, { executable: undefined })],
    ],
  ])('%s', (_, taken, fakes) => {
    expect(judge(fakes)).toMatchObject({ allowed: false, clause: 'client', taken });
  });

  it('a client at an unusual place, with the command that makes it known', () => {
    const odd = client('/opt/my tools/claude (deleted)');
    expect(judge([KEY, sh(), odd, ...TERMINAL])).toMatchObject({
      remedy: "if it is: broker claude install --client '/opt/my tools/claude'",
    });
  });

  it('nothing that can be seen at all', () => {
    expect(clauseOf([])).toBe('peer');
  });

  it('a client of another user', () => {
    const other = { uids: '0 0 0 0' };
    expect(clauseOf([{ ...KEY, ...other }, { ...sh(), ...other }, client(NATIVE, other)])).toBe('user');
  });
});

describe('words of their own', () => {
  const host = client(NATIVE, { argv: ['claude', 'bg-pty-host'], session: 40 });
  const daemon = client(NATIVE, { argv: ['claude', 'daemon', 'run'], session: 40 });
  const background = [KEY, sh(), client(), host, daemon, program('init')];

  it('claude --bg needs claude-code-background', () => {
    expect(clauseOf(background)).toBe('background');
    expect(clauseOf(background, ['claude-code', 'claude-code-background'])).toBe('served');
  });

  it('claude-code-background alone serves no client in the foreground, and no nested one', () => {
    expect(clauseOf([KEY, sh(), client(), ...TERMINAL], ['claude-code-background'])).toBe('client');
    const nested = [KEY, sh(), client(), program('bash'), client(), ...TERMINAL];
    expect(clauseOf(nested, ['claude-code', 'claude-code-background'])).toBe('nested');
  });

  it('the old Node client needs claude-code-node', () => {
    const asks = [KEY, sh(), NODE, ...TERMINAL];
    expect(clauseOf(asks, ['claude-code-node'])).toBe('served');
    expect(clauseOf([...inSession(98, KEY, sh('hook')), NODE, ...TERMINAL], ['claude-code-node'])).toBe('session');
    expect(clauseOf([KEY, sh('hook'), NODE, ...TERMINAL], ['claude-code-node'])).toBe('line');
  });

  it('the old Node client has written its title over its words', () => {
    const titled = client('/usr/bin/node', { argv: ['claude', '', ''] });
    expect(clauseOf([KEY, sh(), titled, ...TERMINAL], ['claude-code-node'])).toBe('served');
    expect(judge([KEY, sh(), titled, ...TERMINAL])).toMatchObject({
      taken: 'a call of the old Node client',
      remedy: expect.stringContaining('claude-code-node'),
    });
  });

  it('npm’s wrapper above the client is no client, whatever is allowed', () => {
    const wrapper = client('/usr/bin/node', { argv: ['node', '/usr/local/bin/claude'] });
    const asks = [KEY, sh(), client(NPM), wrapper, ...TERMINAL];
    expect(clauseOf(asks, ['claude-code', 'claude-code-node'])).toBe('served');
  });
});

/** What the rule cannot tell from the client's own call: the kernel shows the same. docs/allow.md lists them. */
describe('known open: served wrongly', () => {
  it.each<[string, readonly Fake[]]>([
    ['a new client, started by a double fork with its variables unset', [KEY, sh(), client(), program('init')]],
    ['the same with LD_PRELOAD and the true executable', [KEY, sh(), client(NPM), program('init')]],
    ['a program that was put at a client’s path', [KEY, sh(), client('/tmp/@anthropic-ai/claude-code/claude')]],
    ['an MCP server whose command is LINE', [KEY, client(), ...TERMINAL]],
  ])('%s', (_, fakes) => {
    expect(clauseOf(fakes)).toBe('served');
  });
});
