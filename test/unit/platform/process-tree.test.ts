import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLAUDE_CODE, CLAUDE_DESKTOP, CODEX, type KnownClient } from '../../../src/platform/known-clients.ts';
import type { ProcessFacts } from '../../../src/platform/native.ts';
import { type ProcessReader, ProcessTree } from '../../../src/platform/process-tree.ts';

const HELPER = 100;

interface Fake {
  readonly ppid: number;
  readonly startTime?: string;
  readonly name?: string;
  readonly executable?: string;
  readonly argv?: readonly string[];
}

/** A table of processes that counts how often it is looked at. */
class FakeProcesses implements ProcessReader {
  readonly table: Map<number, Fake>;
  readonly looks: string[] = [];

  constructor(table: Record<number, Fake>) {
    this.table = new Map(Object.entries(table).map(([pid, fake]) => [Number(pid), fake]));
  }

  processParent(pid: number) {
    this.looks.push(`parent ${pid}`);
    const fake = this.table.get(pid);
    return fake && { ppid: fake.ppid, processGroup: 1, startTime: fake.startTime ?? `t${pid}` };
  }

  processInfo(pid: number): ProcessFacts | undefined {
    this.looks.push(`info ${pid}`);
    const fake = this.table.get(pid);
    return fake && { processGroup: 1, startTime: `t${pid}`, name: 'comm', argv: [], ...fake };
  }
}

const helper: Fake = { ppid: 90, executable: '/usr/lib/broker-key' };
const sh: Fake = { ppid: 80, executable: '/usr/bin/dash', argv: ['/bin/sh', '-c', 'broker-key'] };

function clientOf(table: Record<number, Fake>) {
  return new ProcessTree(new FakeProcesses({ [HELPER]: helper, ...table })).clientOf(HELPER);
}

describe('the client behind a helper', () => {
  test.each<[string, Fake]>([
    ['a binary called claude', { ppid: 1, executable: '/home/u/.local/bin/claude' }],
    ['a binary that an update replaced', { ppid: 1, executable: '/home/u/.local/bin/claude (deleted)' }],
    ['a version of the installer', { ppid: 1, executable: '/home/u/.local/share/claude/versions/2.1.330' }],
    ['the npm package’s binary', { ppid: 1, executable: '/n/@anthropic-ai/claude-code/bin/claude.exe' }],
    ['a title', { ppid: 1, executable: '/usr/bin/node', argv: ['claude'] }],
    ['node and a link', { ppid: 1, executable: '/usr/bin/node', argv: ['node', '/usr/local/bin/claude', '-p'] }],
    [
      'node and a script',
      { ppid: 1, executable: '/usr/bin/node', argv: ['node', '/n/@anthropic-ai/claude-code/cli.js'] },
    ],
    ['bun and a script', { ppid: 1, executable: '/usr/bin/bun', argv: ['bun', '/n/claude-code/dist/cli.mjs'] }],
    ['one whose executable may not be read', { ppid: 1, name: 'claude', argv: ['/usr/local/bin/claude'] }],
    ['the first process of a container', { ppid: 0, executable: '/usr/bin/claude' }],
  ])('is Claude Code: %s', (_, claude) => {
    const isClaude = { known: CLAUDE_CODE, name: 'claude' };
    expect(clientOf({ 90: claude })).toMatchObject({ pid: 90, startTime: 't90', ...isClaude });
    expect(clientOf({ 90: sh, 80: claude })).toMatchObject({ pid: 80, ...isClaude });
  });

  test.each<[string, KnownClient, Fake]>([
    ['Codex', CODEX, { ppid: 1, executable: '/n/@openai/codex/vendor/x86_64-unknown-linux-musl/codex/codex' }],
    ['Codex by its long name', CODEX, { ppid: 1, executable: '/usr/local/bin/codex-x86_64-unknown-linux-musl' }],
    ['Claude Desktop', CLAUDE_DESKTOP, { ppid: 1, executable: '/Applications/Claude.app/Contents/MacOS/Claude' }],
    [
      'the Agent SDK',
      CLAUDE_CODE,
      { ppid: 1, executable: '/usr/bin/node', argv: ['node', '/n/claude-agent-sdk/cli.js'] },
    ],
  ])('is %s', (_, known, process) => {
    expect(clientOf({ 90: process })).toMatchObject({ pid: 90, known, name: known.name });
    expect(clientOf({ 90: sh, 80: process })).toMatchObject({ pid: 80, known });
  });

  test('is the nearest of two known clients', () => {
    const codex = { ppid: 80, executable: '/usr/bin/codex' };
    expect(clientOf({ 90: codex, 80: { ppid: 1, executable: '/usr/bin/claude' } })).toMatchObject({ known: CODEX });
  });

  test.each<[string, Fake]>([
    ['an editor of a file called claude', { ppid: 1, executable: '/usr/bin/vim', argv: ['vim', 'claude'] }],
    ['another cli.js', { ppid: 1, executable: '/usr/bin/node', argv: ['node', '/n/other/cli.js'] }],
    ['an argument further on', { ppid: 1, executable: '/usr/bin/tool', argv: ['tool', 'run', 'claude'] }],
    ['a similar name', { ppid: 1, executable: '/usr/bin/claude-monitor', argv: ['claude-monitor'] }],
  ])('is not Claude Code: %s', (_, other) => {
    expect(clientOf({ 90: other })?.known).toBeUndefined();
  });

  test.each([
    ...['sh', 'bash', 'dash', 'zsh', 'ksh', 'fish', 'busybox', 'node', 'env', 'sudo', 'timeout', 'nice', 'perl'],
    ...['python', 'python3', 'python3.12', 'pypy3'],
  ])('%s in between changes nothing', (wrapper) => {
    const claude = { ppid: 1, executable: '/usr/bin/claude' };
    const program = { ppid: 1, executable: '/opt/ide' };
    const between = { ppid: 80, executable: `/usr/bin/${wrapper}`, argv: [wrapper, '/home/u/my-helper'] };

    expect(clientOf({ 90: between, 80: claude })).toMatchObject({ pid: 80, known: CLAUDE_CODE });
    expect(clientOf({ 90: between, 80: program })).toMatchObject({ pid: 80, name: 'ide', known: undefined });
    expect(clientOf({ 90: { ...between, ppid: 1 }, 1: { ppid: 0, executable: '/sbin/init' } })).toBeUndefined();
  });

  test('is Claude Code further up rather than a program nearby', () => {
    const client = clientOf({
      90: { ppid: 80, executable: '/usr/bin/make' },
      80: { ppid: 70, executable: '/usr/bin/zsh' },
      70: { ppid: 1, executable: '/usr/bin/claude' },
    });
    expect(client).toMatchObject({ pid: 70, known: CLAUDE_CODE });
  });

  test('is the nearest program where there is no Claude Code', () => {
    const client = clientOf({
      90: sh,
      80: { ppid: 70, executable: '/usr/bin/make' },
      70: { ppid: 1, executable: '/usr/bin/tmux' },
    });
    expect(client).toEqual({ id: '80:t80', pid: 80, startTime: 't80', name: 'make', known: undefined });
  });

  test('is nobody for an orphan, a stranger, or a process that is its own parent', () => {
    expect(
      clientOf({ 90: { ppid: 1, executable: '/bin/sh' }, 1: { ppid: 0, executable: '/sbin/init' } }),
    ).toBeUndefined();
    expect(new ProcessTree(new FakeProcesses({})).clientOf(HELPER)).toBeUndefined();
    expect(new ProcessTree(new FakeProcesses({ [HELPER]: { ppid: HELPER } })).clientOf(HELPER)).toBeUndefined();
  });

  test('takes the helper’s word for its parent only if the kernel says nothing', () => {
    const claude = { ppid: 1, executable: '/usr/bin/claude' };
    const hidden = new ProcessTree(new FakeProcesses({ 80: claude }));
    expect(hidden.clientOf(HELPER, 80)).toMatchObject({ pid: 80 });
    const shown = new ProcessTree(
      new FakeProcesses({ [HELPER]: helper, 90: { ppid: 1, executable: '/opt/ide' }, 80: claude }),
    );
    expect(shown.clientOf(HELPER, 80)).toMatchObject({ pid: 90 });
  });

  test('is held on to, so that it is looked at once and its number means nobody else', () => {
    const holds: { hasExited: boolean; isReleased: boolean }[] = [];
    const hold = () => {
      const held = { hasExited: false, isReleased: false };
      holds.push(held);
      const release = () => {
        held.isReleased = true;
      };
      return { hasExited: () => held.hasExited, release };
    };
    const claude: Fake = { ppid: 1, executable: '/usr/bin/claude' };
    const reader = Object.assign(new FakeProcesses({ [HELPER]: helper, 90: claude }), { hold });
    const tree = new ProcessTree(reader);
    const client = tree.clientOf(HELPER, undefined, 90);
    reader.looks.length = 0;
    expect(tree.clientOf(HELPER, undefined, 90)).toBe(client);
    expect(reader.looks).toEqual([]);
    for (const held of holds) held.hasExited = true;
    reader.table.set(90, { ppid: 1, executable: '/opt/ide', startTime: 'later' });
    expect(tree.clientOf(HELPER, undefined, 90)).toMatchObject({ startTime: 'later', name: 'ide' });
    expect(holds.map(({ isReleased }) => isReleased)).toEqual([true, false]);
  });

  test('is not looked for again by a program that asks often and has a shell between it and its client', () => {
    const table: Record<number, Fake> = {
      [HELPER]: { ppid: 90 },
      90: sh,
      80: { ppid: 1, executable: '/usr/bin/claude' },
    };
    const hold = () => ({ hasExited: () => false, release: () => undefined });
    const reader = Object.assign(new FakeProcesses(table), { hold });
    const tree = new ProcessTree(reader);
    for (let ask = 0; ask < 2; ask += 1) tree.clientOf(HELPER, undefined, 90);
    reader.looks.length = 0;
    expect(tree.clientOf(HELPER, undefined, 90)).toMatchObject({ pid: 80 });
    expect(reader.looks).toEqual([]);
  });

  test('is let go of when there are too many, and a shell that runs one helper is not held at all', () => {
    const held = new Set<number>();
    const table: Record<number, Fake> = {
      [HELPER]: { ppid: 90 },
      90: sh,
      80: { ppid: 1, executable: '/usr/bin/claude' },
    };
    for (let pid = 1000; pid < 1200; pid += 1) table[pid] = { ppid: 1, executable: '/usr/bin/claude' };
    const reader = Object.assign(new FakeProcesses(table), {
      hold: ({ pid }: { readonly pid: number }) => {
        held.add(pid);
        return { hasExited: () => false, release: () => void held.delete(pid) };
      },
    });
    const tree = new ProcessTree(reader);
    expect(tree.clientOf(HELPER)?.pid).toBe(80);
    expect([...held]).toEqual([80]);
    for (let pid = 1000; pid < 1200; pid += 1) tree.clientOf(HELPER, undefined, pid);
    expect(held.size).toBe(64);
    expect(held.has(1199)).toBe(true);
  });

  test('does not mix a process with one that got its number meanwhile', () => {
    const reader = new FakeProcesses({ [HELPER]: helper, 90: { ppid: 1, executable: '/usr/bin/claude' } });
    const tree = new ProcessTree(reader);
    expect(tree.clientOf(HELPER)?.startTime).toBe('t90');
    reader.table.set(90, { ppid: 1, executable: '/opt/ide', startTime: 'later' });
    expect(tree.clientOf(HELPER)).toEqual({
      id: '90:later',
      pid: 90,
      startTime: 'later',
      name: 'ide',
      known: undefined,
    });
  });
});

describe('what is remembered', () => {
  test('a second helper of the same client costs one look at it and one at its parent', () => {
    const reader = new FakeProcesses({ [HELPER]: helper, 101: helper, 90: { ppid: 1, executable: '/usr/bin/claude' } });
    const tree = new ProcessTree(reader);
    tree.clientOf(HELPER);
    reader.looks.length = 0;

    expect(tree.clientOf(101)).toMatchObject({ pid: 90 });
    expect(reader.looks).toEqual(['parent 101', 'parent 90']);
  });

  test('a new shell for every call costs a look at that shell', () => {
    const reader = new FakeProcesses({ [HELPER]: helper, 90: sh, 80: { ppid: 1, executable: '/usr/bin/claude' } });
    const tree = new ProcessTree(reader);
    tree.clientOf(HELPER);
    reader.table.set(201, { ppid: 200 }).set(200, sh);
    reader.looks.length = 0;

    expect(tree.clientOf(201)).toMatchObject({ pid: 80 });
    expect(reader.looks).toEqual(['parent 201', 'parent 200', 'info 200', 'parent 80']);
  });

  test('is bounded, and what is in use stays', () => {
    const reader = new FakeProcesses({ [HELPER]: helper, 90: { ppid: 1, executable: '/usr/bin/claude' } });
    const tree = new ProcessTree(reader);
    for (let pid = 1_000; pid < 4_000; pid += 2) {
      reader.table.set(pid + 1, { ppid: pid }).set(pid, { ppid: 1, executable: '/opt/ide' });
      tree.clientOf(pid + 1);
      tree.clientOf(HELPER);
    }
    reader.looks.length = 0;
    tree.clientOf(HELPER);
    expect(reader.looks).toEqual([`parent ${HELPER}`, 'parent 90']);
    tree.clientOf(1_001);
    expect(reader.looks).toContain('info 1000');
  });
});

describe('any table of processes', () => {
  const programs = ['/bin/sh', '/usr/bin/node', '/opt/ide', '/usr/bin/make', '/usr/bin/claude'];
  const program = fc.constantFrom(...programs);

  /** The definition, without memory: Claude Code above, else the nearest that is no wrapper. */
  function definedClient(table: readonly Fake[], helperPid: number): number | undefined {
    const ancestors: number[] = [];
    for (let at = table[helperPid]?.ppid; at !== undefined && at > 0; at = table[at]?.ppid) ancestors.push(at);
    const nameOf = (pid: number) => path.basename(table[pid]?.executable ?? '');
    const isProgram = (pid: number) => pid !== 1 && ['ide', 'make'].includes(nameOf(pid));
    return ancestors.find((pid) => nameOf(pid) === 'claude') ?? ancestors.find(isProgram);
  }

  test('as a tree: the definition holds, whatever was asked before', () => {
    const parents = fc.array(
      fc.record({ up: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), program }),
      {
        minLength: 2,
        maxLength: 25,
      },
    );
    fc.assert(
      fc.property(parents, fc.array(fc.nat(24), { maxLength: 30 }), (processes, asked) => {
        const table = processes.map(({ up, program: executable }, pid) => ({ ppid: Math.floor(up * pid), executable }));
        const tree = new ProcessTree(new FakeProcesses({ ...table }));
        for (const pid of asked) expect(tree.clientOf(pid)?.pid).toBe(definedClient(table, pid));
      }),
      { numRuns: 500 },
    );
  });

  test('with loops and gaps: an answer, and always the same', () => {
    const processes = fc.array(fc.record({ ppid: fc.integer({ min: -1, max: 15 }), executable: program }), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(processes, fc.nat(12), (table, pid) => {
        const tree = new ProcessTree(new FakeProcesses({ ...table }));
        const client = tree.clientOf(pid);
        expect(tree.clientOf(pid)).toEqual(client);
      }),
      { numRuns: 500 },
    );
  });
});
