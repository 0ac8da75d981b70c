import { closeSync, readlinkSync, statSync } from 'node:fs';
import {
  type AllowWord,
  type CallerFacts,
  judgeCaller,
  type ProcessView,
  unseen,
  type Verdict,
} from './attestation.ts';
import { readEnrolment } from './enrolment.ts';
import type { NativeBindings } from './native.ts';
import { attempt, startOf, statOf, variablesOf } from './proc.ts';

/** Of these the whole is read; of those further up only what shows whether they are clients. */
const EXAMINED = 17;
/** Deeper trees do not occur, and a loop cannot be: it is a limit all the same. */
const LONGEST_CHAIN = 64;

/** Who connected, as the kernel said when the connection was accepted. */
interface ConnectedPeer {
  readonly pid: number;
  /** Read at that moment, where the kernel gives no descriptor of the process itself (Linux before 6.5). */
  readonly startTime?: string | undefined;
}

interface AttestorOptions {
  readonly native: Pick<NativeBindings, 'peerProcess' | 'hasExited'> | undefined;
  readonly uid: number;
  /** Where `broker claude install` keeps its records. */
  readonly stateDir: string;
  readonly proc?: string;
}

/** Looks at the processes behind a call and judges it. Nothing is remembered from one call to the next: a pid may be another process by then. */
export class Attestor {
  readonly #options: AttestorOptions;
  readonly #proc: string;

  constructor(options: AttestorOptions) {
    this.#options = options;
    this.#proc = options.proc ?? '/proc';
  }

  /** @param fd of the connection. Never throws. */
  attest(peer: ConnectedPeer | undefined, fd: number | undefined, allow: readonly AllowWord[]): Verdict {
    const { native } = this.#options;
    if (peer === undefined || native === undefined) {
      return unseen('without the native addon the kernel does not say who asks', 'build it: npm rebuild apikey-broker');
    }
    if (peer.pid === 0) return unseen('it is in another pid namespace (a container, a sandbox)');
    const process = fd === undefined ? -1 : peerProcess(native, fd);
    if (process < 0 && peer.startTime === undefined) return unseen('it ended, or its connection closed');
    try {
      return this.#judge(peer.pid, allow, (first) =>
        process < 0 ? first.startTime === peer.startTime : !native.hasExited(process),
      );
    } finally {
      if (process >= 0) closeSync(process);
    }
  }

  /** The same of a process that has not asked, for `broker doctor --who`. */
  examine(pid: number, allow: readonly AllowWord[]): { readonly facts: CallerFacts; readonly verdict: Verdict } {
    const facts = this.#look(pid);
    return { facts, verdict: this.#verdictOn(facts, allow) };
  }

  #judge(pid: number, allow: readonly AllowWord[], isStillThePeer: (first: ProcessView) => boolean): Verdict {
    const facts = this.#look(pid);
    const verdict = this.#verdictOn(facts, allow);
    const [first] = facts.chain;
    if (first === undefined) return verdict;
    // Read one after another, the facts are true together only if nothing has changed meanwhile.
    if (!isStillThePeer(first)) return unseen('it ended while it was looked at');
    if (!verdict.allowed || [...verdict.between, verdict.client].every((view) => this.#isUnchanged(view)))
      return verdict;
    return unseen('it changed while it was looked at', 'ask again');
  }

  #verdictOn(facts: CallerFacts, allow: readonly AllowWord[]): Verdict {
    const { stateDir, uid } = this.#options;
    if (facts.chain.length === 0) return unseen('the kernel hides it (a /proc with hidepid), or it has ended');
    const enrolment = readEnrolment(stateDir, uid);
    const verdict = judgeCaller(facts, allow, enrolment, uid);
    if (verdict.allowed || verdict.clause !== 'line' || enrolment.flaw === undefined) return verdict;
    return {
      ...verdict,
      why: `the recorded lines do not count: ${enrolment.flaw.reason}`,
      remedy: enrolment.flaw.remedy,
    };
  }

  #look(pid: number): CallerFacts {
    const chain: ProcessView[] = [];
    for (let next = pid; next > 0 && chain.length < LONGEST_CHAIN; ) {
      const view = this.#view(next, chain.length < EXAMINED);
      if (view === undefined) break;
      chain.push(view);
      next = view.ppid;
    }
    return { chain, startedByAgent: (client) => variablesOf(client, ['CLAUDECODE'], this.#proc)?.[0] !== undefined };
  }

  #isUnchanged({ pid, ppid, session, startTime }: ProcessView): boolean {
    const now = statOf(pid, this.#proc);
    return now?.ppid === ppid && now.session === session && now.startTime === startTime;
  }

  #view(pid: number, whole: boolean): ProcessView | undefined {
    const stat = statOf(pid, this.#proc);
    if (stat === undefined) return undefined;
    const folder = `${this.#proc}/${pid}`;
    const executable = attempt(() => executableOf(`${folder}/exe`));
    const argv = argvOf(startOf(`${folder}/cmdline`));
    if (!whole) {
      const unread = { uids: undefined, noNewPrivileges: undefined, surroundings: undefined, namespaces: undefined };
      return { pid, ...stat, ...unread, executable, argv };
    }
    const status = startOf(`${folder}/status`) ?? '';
    const privileges = /^NoNewPrivs:\t([01])$/m.exec(status)?.[1];
    return {
      pid,
      ...stat,
      uids: /^Uid:\t(.*)$/m.exec(status)?.[1]?.replaceAll('\t', ' '),
      noNewPrivileges: privileges === undefined ? undefined : privileges === '1',
      surroundings: surroundingsOf(folder, status),
      namespaces: attempt(() => NAMESPACES.map((name) => readlinkSync(`${folder}/ns/${name}`)).join(' ')),
      executable,
      argv,
    };
  }
}

const NAMESPACES = ['pid', 'mnt', 'user', 'net'];

function peerProcess(native: Pick<NativeBindings, 'peerProcess'>, fd: number): number {
  return attempt(() => native.peerProcess(fd)) ?? -1;
}

function executableOf(link: string): { readonly path: string; readonly id: string } {
  const { dev, ino } = statSync(link);
  return { path: readlinkSync(link), id: `${dev}:${ino}` };
}

/** undefined for kernel threads, zombies and what is longer than any helper's line. */
function argvOf(text: string | undefined): readonly string[] | undefined {
  if (text === undefined || !text.endsWith('\0')) return undefined;
  return text.slice(0, -1).split('\0');
}

/**
 * What the kernel tells of any process of the same user, whether or not it is dumpable: how deep its pid namespace is, how
 * its user ids are mapped, the number of its first mount and of a file in its network namespace, none of which two namespaces share.
 */
function surroundingsOf(folder: string, status: string): string | undefined {
  const depth = /^NSpid:(.*)$/m.exec(status)?.[1]?.trim().split(/\s+/).length;
  const [users, [mount] = [], network] = [
    startOf(`${folder}/uid_map`),
    // The kernel writes as many lines as are asked for, and there may be hundreds.
    startOf(`${folder}/mountinfo`, 32)?.split(' ', 1),
    attempt(() => statSync(`${folder}/net/unix`).ino),
  ];
  if (depth === undefined || users === undefined || mount === undefined || network === undefined) return undefined;
  return `${depth} ${users.trim().replaceAll(/\s+/g, ' ')} ${mount} ${network}`;
}
