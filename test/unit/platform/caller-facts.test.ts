import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Attestor } from '../../../src/platform/caller-facts.ts';
import { writeEnrolment } from '../../../src/platform/enrolment.ts';

const UID = process.getuid?.() ?? 0;
const LINE = '/h/broker-key';
const ALLOW = ['claude-code'] as const;

/** A /proc of its own: the helper 300, its shell 200, the client 100, init. */
class FakeProc {
  static readonly made: string[] = [];
  readonly root = mkdtempSync(join(tmpdir(), 'broker-proc-'));
  readonly client: string;

  constructor() {
    FakeProc.made.push(this.root);
    this.client = join(this.root, '@anthropic-ai', 'claude-code', 'claude');
    mkdirSync(dirname(this.client), { recursive: true });
    writeFileSync(this.client, '');
    this.process(300, { ppid: 200, name: 'broker-key', argv: [LINE], hidden: true });
    this.process(200, { ppid: 100, name: 'sh', argv: ['/bin/sh', '-c', LINE] });
    this.process(100, { ppid: 1, name: 'a (claude) x', argv: ['claude'], exe: this.client });
    this.process(1, { ppid: 0, name: 'init', argv: ['init'], session: 1, hidden: true });
    writeEnrolment(this.root, UID, { lines: [{ line: LINE, words: [], file: 'f', target: 't' }], clients: [] });
  }

  process(
    pid: number,
    { ppid, name, argv, exe = '/bin/true', session = 100, start = pid, hidden = false }: FakeProcess,
  ) {
    const folder = join(this.root, String(pid));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, 'ns'), { recursive: true });
    mkdirSync(join(folder, 'net'));
    const numbers = [ppid, session, session, 0, ...Array<number>(14).fill(0), start];
    this.write(pid, 'stat', `${pid} (${name}) S ${numbers.slice(0, 4).join(' ')} ${numbers.slice(4).join(' ')} 0 0\n`);
    this.write(pid, 'status', `Name:\t${name}\nUid:\t${UID}\t${UID}\t${UID}\t${UID}\nNSpid:\t${pid}\nNoNewPrivs:\t0\n`);
    this.write(pid, 'cmdline', argv.map((word) => `${word}\0`).join(''));
    this.write(pid, 'environ', 'A=b\0');
    this.write(pid, 'uid_map', '         0          0 4294967295\n');
    this.write(pid, 'mountinfo', '22 27 0:21 / /proc rw\n');
    // One network namespace: the same file for all.
    rmSync(join(folder, 'net'), { recursive: true });
    symlinkSync(this.network, join(folder, 'net'));
    if (hidden) return;
    symlinkSync(exe, join(folder, 'exe'));
    for (const space of ['pid', 'mnt', 'user', 'net']) symlinkSync(`${space}:[1]`, join(folder, 'ns', space));
  }

  get network(): string {
    const folder = join(this.root, 'net');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'unix'), '', { flag: 'a' });
    return folder;
  }

  write(pid: number, name: string, text: string): void {
    writeFileSync(join(this.root, String(pid), name), text);
  }
}

interface FakeProcess {
  readonly ppid: number;
  readonly name: string;
  readonly argv: readonly string[];
  readonly exe?: string;
  readonly session?: number;
  readonly start?: number;
  /** As of a process that is not dumpable. */
  readonly hidden?: boolean;
}

let proc: FakeProc;
beforeEach(() => {
  proc = new FakeProc();
});
afterEach(() => {
  for (const folder of FakeProc.made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** @param hasExited undefined: a kernel that gives no descriptor of who connected. */
function attestor(hasExited?: () => boolean): Attestor {
  const native = {
    peerProcess: () => (hasExited === undefined ? -1 : openSync('/dev/null', 'r')),
    hasExited: () => hasExited?.() ?? true,
  };
  return new Attestor({ native, uid: UID, stateDir: proc.root, proc: proc.root });
}

const clause = (verdict: ReturnType<Attestor['attest']>) => (verdict.allowed ? 'served' : verdict.clause);
const asks = (hasExited?: () => boolean, startTime?: string) =>
  clause(attestor(hasExited).attest({ pid: 300, startTime }, 3, ALLOW));

describe('the facts behind a call', () => {
  it('are those of /proc, and enough although the helper hides itself', () => {
    const { facts, verdict } = attestor(() => false).examine(300, ALLOW);
    expect(verdict.allowed).toBe(true);
    expect(facts.chain.map(({ pid, name, session }) => [pid, name, session])).toEqual([
      [300, 'broker-key', 100],
      [200, 'sh', 100],
      [100, 'a (claude) x', 100],
      [1, 'init', 1],
    ]);
    expect(facts.chain[0]).toMatchObject({ executable: undefined, namespaces: undefined, noNewPrivileges: false });
    expect(asks(() => false)).toBe('served');
  });

  it('fail closed where a file of /proc is missing', () => {
    for (const [pid, file, expected] of [
      [300, 'uid_map', 'namespaces'],
      [300, 'mountinfo', 'namespaces'],
      [300, 'status', 'user'],
      [200, 'cmdline', 'line'],
      [200, 'stat', 'client'],
      [100, 'exe', 'client'],
      [300, 'stat', 'peer'],
    ] as const) {
      proc = new FakeProc();
      rmSync(join(proc.root, String(pid), file));
      expect([file, asks(() => false)]).toEqual([file, expected]);
    }
  });

  it('are not believed without NoNewPrivs, or with a command line that does not end', () => {
    proc.write(200, 'status', `Uid:\t${UID}\t${UID}\t${UID}\t${UID}\nNSpid:\t200\n`);
    expect(asks(() => false)).toBe('privileges');
    proc = new FakeProc();
    proc.write(200, 'cmdline', `/bin/sh\0-c\0${LINE}`);
    expect(asks(() => false)).toBe('line');
  });

  it('tell another mount, network or user namespace of a process that hides its own', () => {
    for (const [file, text] of [
      ['mountinfo', '901 27 0:21 / /proc rw\n'],
      ['uid_map', '         0       1000          1\n'],
    ] as const) {
      proc = new FakeProc();
      proc.write(300, file, text);
      expect(asks(() => false)).toBe('namespaces');
    }
  });

  it('show CLAUDECODE of the client, and of nobody else', () => {
    proc.write(200, 'environ', 'CLAUDECODE=1\0');
    proc.write(300, 'environ', 'CLAUDECODE=1\0');
    expect(asks(() => false)).toBe('served');
    proc.write(100, 'environ', 'A=b\0CLAUDECODE=1\0');
    expect(asks(() => false)).toBe('nested');
  });
});

describe('a pid that is used again', () => {
  it('is not taken for who connected: the kernel says that this one has ended', () => {
    expect(asks(() => true)).toBe('peer');
  });

  it('nor, before Linux 6.5, where the start time is another than when the connection was accepted', () => {
    expect(asks(undefined, '300')).toBe('served');
    expect(asks(undefined, '299')).toBe('peer');
    expect(asks(undefined, undefined)).toBe('peer');
  });

  it('nor while the facts are read', () => {
    for (const pid of [300, 200, 100]) {
      proc = new FakeProc();
      const changes = () => {
        const argv = pid === 100 ? ['claude'] : ['/bin/sh', '-c', LINE];
        proc.process(pid, { ppid: pid === 100 ? 1 : pid - 100, name: 'x', argv, exe: proc.client, start: pid + 1 });
        return false;
      };
      expect([pid, asks(changes)]).toEqual([pid, 'peer']);
    }
  });

  it('nor does a process that has changed its session or its parent meanwhile count', () => {
    const changes = () => {
      proc.process(200, { ppid: 1, name: 'sh', argv: ['/bin/sh', '-c', LINE] });
      return false;
    };
    expect(asks(changes)).toBe('peer');
  });
});

describe('what cannot be known', () => {
  it('is refused: no addon, no peer, another pid namespace, a closed connection', () => {
    const without = new Attestor({ native: undefined, uid: UID, stateDir: proc.root, proc: proc.root });
    expect(clause(without.attest({ pid: 300 }, 3, ALLOW))).toBe('peer');
    expect(clause(attestor(() => false).attest(undefined, 3, ALLOW))).toBe('peer');
    expect(clause(attestor(() => false).attest({ pid: 0 }, 3, ALLOW))).toBe('peer');
    expect(clause(attestor(() => false).attest({ pid: 300 }, undefined, ALLOW))).toBe('peer');
  });

  it('gives back every descriptor', () => {
    const before = openSync('/dev/null', 'r');
    closeSync(before);
    for (let count = 0; count < 10; count += 1) asks(() => count % 2 === 0);
    const after = openSync('/dev/null', 'r');
    closeSync(after);
    expect(after).toBe(before);
  });
});
