import type { AllowWord, CallerFacts, Verdict } from '../../platform/attestation.ts';
import type { Clock } from '../../platform/clock.ts';
import { type EnrolmentRecord, readEnrolment } from '../../platform/enrolment.ts';
import { programsOnPath } from '../../platform/files.ts';
import { isClaudeProgram } from '../../platform/known-clients.ts';
import { helperPath } from '../../platform/native.ts';
import { printable } from '../../platform/text.ts';
import type { BrokerEvent, StatusReport } from '../../protocol/reports.ts';
import { findClient } from '../install/enrol.ts';
import { type Proof, prove } from './prove.ts';

/** What there is to know of `allow` on this machine. */
export interface AllowFacts {
  /** Of the credential that the helper asks for; empty: every process of the user may ask. */
  readonly words: readonly string[];
  readonly enrolment: EnrolmentRecord;
  /** The compiled client on PATH. */
  readonly client: { readonly path: string; readonly isKnown: boolean } | undefined;
  /** The latest of each kind, the newest first. */
  readonly refusals: readonly RefusedCalls[];
  /** What the client's sandbox needs and this machine lacks. */
  readonly missingPrograms: readonly string[];
  readonly wantsProof: boolean;
  readonly proof: Proof | undefined;
}

interface RefusedCalls {
  readonly credential: string;
  readonly clause: string;
  readonly taken: string;
  readonly why: string;
  readonly remedy: string;
  /** RFC 3339. */
  readonly at: string;
  readonly times: number;
  /** There is something to be done about it. */
  readonly isHonest: boolean;
}

const SHOWN_REFUSALS = 3;

interface AllowOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly stateDir: string;
  readonly platform: NodeJS.Platform;
  readonly clock: Clock;
  readonly fetchEvents?: (() => Promise<readonly BrokerEvent[]>) | undefined;
  readonly proveAllow?: boolean | undefined;
}

export async function gatherAllow(
  options: AllowOptions,
  status: StatusReport | undefined,
  words: readonly string[] = [],
): Promise<AllowFacts> {
  const { env, uid, clock, stateDir, platform } = options;
  const searched = env['PATH'];
  const enrolment = readEnrolment(stateDir, uid);
  const client = findClient(searched);
  const helper = helperPath();
  const wantsProof = options.proveAllow === true;
  const canProve = wantsProof && platform === 'linux' && client !== undefined && helper !== undefined;
  const events = status === undefined ? [] : await options.fetchEvents?.().catch(() => undefined);
  return {
    words,
    enrolment,
    client: client && {
      path: client.path,
      isKnown: isClaudeProgram(client.path) || enrolment.clients.some(({ id }) => id === client.id),
    },
    refusals: refusalsIn(events ?? []),
    missingPrograms: ['bwrap', 'socat'].filter((name) => programsOnPath(name, searched).length === 0),
    wantsProof,
    proof: canProve
      ? await prove({ client: client.path, helper, uid, clock, searched, clients: enrolment.clients })
      : undefined,
  };
}

function refusalsIn(events: readonly BrokerEvent[]): RefusedCalls[] {
  const kinds = new Map<string, RefusedCalls>();
  for (const { kind, credential, at, detail } of events) {
    if (kind !== 'caller-refused') continue;
    const [clause, taken, why, remedy] = ['clause', 'taken', 'why', 'remedy'].map((name) => String(detail[name] ?? ''));
    const id = `${credential} ${clause} ${taken}`;
    const times = (kinds.get(id)?.times ?? 0) + 1;
    kinds.delete(id);
    kinds.set(id, {
      credential: credential ?? '',
      clause: clause ?? '',
      taken: taken ?? '',
      why: why ?? '',
      remedy: remedy ?? '',
      at,
      times,
      isHonest: !remedy?.startsWith('this is on purpose'),
    });
  }
  return [...kinds.values()].slice(-SHOWN_REFUSALS).reverse();
}

/** What `broker doctor --who PID` prints. Command lines are left out: others put secrets on them. */
export function whoText(pid: number, allow: readonly AllowWord[], facts: CallerFacts, verdict: Verdict): string {
  const words = allow.join(', ');
  const lines = verdict.allowed
    ? [`process ${pid} would be served what has allow = ${words}: it is the client's own helper call`]
    : [
        `process ${pid} would be refused what has allow = ${words}: it is taken for ${verdict.taken} (${verdict.clause})`,
        `    why: ${verdict.why}`,
        `    do:  ${verdict.remedy}`,
      ];
  for (const { pid: each, name, session, executable, hasTerminal } of facts.chain) {
    const isClient = each === verdict.client?.pid;
    const file = executable?.path ?? 'a file that the kernel hides';
    lines.push(
      `  ${isClient ? '*' : ' '} ${String(each).padStart(7)} ${printable(name).padEnd(16)} session ${session}${hasTerminal ? ', with a terminal' : ''}, ${printable(file)}`,
    );
  }
  if (verdict.client !== undefined) lines.push('  * the client');
  return `${lines.join('\n')}\n`;
}

export function whoJson(pid: number, allow: readonly AllowWord[], facts: CallerFacts, verdict: Verdict) {
  const chain = facts.chain.map(({ pid: each, name, session, executable, hasTerminal }) => ({
    pid: each,
    name: printable(name),
    session,
    hasTerminal,
    executable: executable === undefined ? null : printable(executable.path),
    isClient: each === verdict.client?.pid,
  }));
  const refused = verdict.allowed
    ? { clause: null, taken: null, why: null, remedy: null }
    : { clause: verdict.clause, taken: verdict.taken, why: verdict.why, remedy: verdict.remedy };
  return { pid, allow, served: verdict.allowed, ...refused, chain };
}
