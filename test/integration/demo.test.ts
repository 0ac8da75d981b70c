import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PROGRAM } from '../fakes/daemon-process.ts';
import { isRunning, until } from '../fakes/processes.ts';

/** Without curl, which the demo only compares with. */
const PATH = '/nowhere';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'broker-demo-test-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A demo that is under way; whatever it has started by the time that something happens to it is watched. */
class Demo {
  readonly child;
  stdout = '';
  stderr = '';
  #seen: readonly Descendant[] = [];

  constructor(tmp = folder) {
    this.child = spawn(process.execPath, [PROGRAM, 'demo'], {
      env: { PATH, TMPDIR: tmp, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
  }

  async reaches(words: string): Promise<void> {
    this.child.stdout.setEncoding('utf8');
    while (!this.stdout.includes(words)) this.stdout += (await once(this.child.stdout, 'data'))[0];
    this.child.stdout.resume();
    this.#seen = descendants(this.child.pid ?? 0);
  }

  get daemon(): number {
    const daemon = this.#seen.find(({ command }) => command.endsWith('/broker.mjs daemon'));
    if (daemon === undefined) throw new Error('the demo has no daemon');
    return daemon.pid;
  }

  /** Resolves with the exit code. */
  async ended(): Promise<number | null> {
    const { child } = this;
    return child.exitCode ?? ((await once(child, 'exit'))[0] as number | null);
  }

  async leavesNothing(): Promise<void> {
    expect(readdirSync(folder)).toEqual([]);
    await until(() => !this.#seen.some(({ pid }) => isRunning(pid)));
  }
}

interface Descendant {
  readonly pid: number;
  readonly command: string;
}

/** In no order that says anything: process ids begin again at the bottom after some ten thousand processes. */
function descendants(pid: number): Descendant[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => {
      const [, id, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*?)\s*$/.exec(line) ?? [];
      return { pid: Number(id), parent: Number(parent), command };
    });
  const below = (parent: number): Descendant[] => {
    const children = rows.filter((row) => row.parent === parent);
    return [...children, ...children.flatMap((child) => below(child.pid))];
  };
  return below(pid);
}

describe('the demo ends and leaves nothing behind', () => {
  it('told to its end', async () => {
    const demo = new Demo();
    await demo.reaches('broker status');
    expect(await demo.ended(), demo.stderr).toBe(0);
    await demo.leavesNothing();
  });

  it.each([
    ['SIGINT', 130, 'A development Vault'],
    ['SIGINT', 130, 'answers on its socket'],
    ['SIGINT', 130, 'And again'],
    ['SIGINT', 130, 'is revoked'],
    ['SIGTERM', 143, 'first ask'],
    ['SIGHUP', 129, 'first ask'],
  ] as const)('%s, with %i, after “%s”', async (signal, code, words) => {
    const demo = new Demo();
    await demo.reaches(words);
    demo.child.kill(signal);
    expect(await demo.ended()).toBe(code);
    expect(demo.stderr).toBe('');
    await demo.leavesNothing();
  });

  it('Ctrl-C while a helper waits for a daemon that does not answer', async () => {
    const demo = new Demo();
    await demo.reaches('answers on its socket');
    process.kill(demo.daemon, 'SIGSTOP');
    await until(async () => {
      await demo.reaches('');
      return descendants(demo.child.pid ?? 0).length > 1;
    });
    demo.child.kill('SIGINT');
    expect(await demo.ended()).toBe(130);
    await demo.leavesNothing();
  });

  it.each(['answers on its socket', 'And again', 'is revoked'])('its daemon is killed after “%s”', async (words) => {
    const demo = new Demo();
    await demo.reaches(words);
    process.kill(demo.daemon, 'SIGKILL');
    expect(await demo.ended()).toBe(69);
    expect(demo.stderr).toMatch(/^error: the demo's daemon ended with SIGKILL\nhint: .+\n$/);
    await demo.leavesNothing();
  });

  it('nobody reads on', async () => {
    const demo = new Demo();
    await demo.reaches('answers on its socket');
    demo.child.stdout.destroy();
    expect(await demo.ended()).toBe(74);
    await demo.leavesNothing();
  });

  it('nothing can be written', async () => {
    const demo = new Demo(join(folder, 'missing'));
    expect(await demo.ended()).toBe(74);
    expect(demo.stderr).toMatch(/^error: the demo cannot write in \S+missing \(ENOENT\)\nhint: set TMPDIR .+\n$/);
    await demo.leavesNothing();
  });
});
