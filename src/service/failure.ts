import type { ErrorCode } from '../errors.ts';

/** Why a service does not run, as far as its manager knows. */
export interface ServiceFailure {
  readonly code: ErrorCode;
  /** Goes on from "the service ". */
  readonly reason: string;
  readonly remedy: string;
}

const LOGS = 'see more: broker service logs';
const EX_CONFIG = 78;

/** What an exit code of the daemon itself means, whatever manages it; undefined for 0. */
export function explainExit(status: number): ServiceFailure | undefined {
  if (status === 0) return undefined;
  if (status === EX_CONFIG)
    return {
      code: 'ERR_CONFIG',
      reason: 'refuses its configuration',
      remedy: 'list the faults: broker config validate',
    };
  return unreachable(`ended with exit code ${status}`);
}

/** `systemctl show`'s properties of a service, as they are written. */
interface UnitProperties {
  readonly Result?: string | undefined;
  /** 1 exited, 2 killed, 3 dumped: waitid(2)'s si_code. */
  readonly ExecMainCode?: string | undefined;
  readonly ExecMainStatus?: string | undefined;
  /** `{ path=/usr/bin/node ; argv[]=… }` */
  readonly ExecStart?: string | undefined;
}

/** Exit codes that systemd gives a process that it could not even start: systemd.exec(5), "Process Exit Codes". */
const BEFORE_START: Readonly<Record<string, (program: string) => ServiceFailure>> = {
  203: (program) =>
    unreachable(
      `cannot run ${program}, which is gone or is not a program`,
      'run broker service install again, with the Node that it is to run on',
    ),
  226: () => unreachable('cannot have its sandbox on this machine', 'run: broker service install --sandbox basic'),
  228: () => unreachable('cannot have its system call filter on this machine', LOGS),
  243: () =>
    unreachable(
      'cannot load a credential that its unit asks for',
      'check the files that LoadCredential= names in: systemctl --user cat broker.service',
    ),
};

/** How systemd says that a service failed: systemd.exec(5), "$SERVICE_RESULT". */
const RESULTS: Readonly<Record<string, string>> = {
  timeout: 'was not ready in time',
  watchdog: 'hung and was ended by the watchdog',
  'oom-kill': 'was ended because the machine ran out of memory',
  'start-limit-hit': 'failed too often in a minute to be tried again',
  protocol: 'ended before it said that it was ready',
};

/** Undefined if nothing failed. */
export function explainUnit({
  Result,
  ExecMainCode,
  ExecMainStatus,
  ExecStart,
}: UnitProperties): ServiceFailure | undefined {
  if (Result === undefined || Result === 'success') return undefined;
  const program = /path=(.*?) ;/.exec(ExecStart ?? '')?.[1] ?? 'its program';
  const exited = ExecMainCode === '1' ? ExecMainStatus : undefined;
  const beforeStart = BEFORE_START[exited ?? '']?.(program);
  if (beforeStart !== undefined) return beforeStart;
  const ended = explainExit(Number(exited ?? 0));
  if (ended !== undefined && (Result === 'exit-code' || ended.code === 'ERR_CONFIG')) return ended;
  if (Result === 'signal' || Result === 'core-dump') return unreachable(`was ended by signal ${ExecMainStatus}`);
  return unreachable(RESULTS[Result] ?? `failed (${Result})`);
}

function unreachable(reason: string, remedy = LOGS): ServiceFailure {
  return { code: 'ERR_DAEMON_UNREACHABLE', reason, remedy };
}
