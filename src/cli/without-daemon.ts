import type { ConfigFault } from '../config/faults.ts';
import { configFileOrNone, noHome, socketCandidates, stateDirOrNone } from '../config/paths.ts';
import { BrokerError } from '../errors.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { launchFlaw, runningDaemon } from '../service/unmanaged.ts';

/** What `broker status --json` prints where no daemon answers. */
export interface StatusWithoutDaemon {
  readonly daemon: {
    /** One holds the state folder, and does not answer. */
    readonly running: boolean;
    readonly pid: number | null;
    readonly version: null;
    /** Null, like the state folder, for a user without a home who names no other place. */
    readonly configFile: string | null;
    readonly stateDir: string | null;
    /** Where it was looked for, in this order. */
    readonly sockets: readonly string[];
  };
  readonly configuration: {
    readonly ok: boolean;
    readonly faults: readonly ConfigFault[];
    /** Of the credentials that it has. */
    readonly names: readonly string[];
  };
  readonly credentials: readonly [];
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly remedy: string | null;
    readonly exitCode: number;
  };
}

/** What can be said of a daemon that does not answer. */
export async function statusWithout(io: ProcessIo, error: BrokerError): Promise<StatusWithoutDaemon> {
  const file = configFileOrNone(io);
  const { loadOwnConfig } = await import('../providers/own-config.ts');
  const { config, faults = [] } = file === undefined ? {} : await loadOwnConfig(io, file);
  const folder = stateDirOrNone(io);
  const holder = folder === undefined ? undefined : runningDaemon(folder);
  const { code, message, remedy = null, exitCode } = error;
  return {
    daemon: {
      running: holder !== undefined,
      pid: holder?.pid ?? null,
      version: null,
      configFile: file ?? null,
      stateDir: folder ?? null,
      sockets: socketCandidates(io).map((candidate) => candidate.path),
    },
    configuration: { ok: config !== undefined, faults, names: [...(config?.credentials.keys() ?? [])] },
    credentials: [],
    error: { code, message, remedy, exitCode },
  };
}

/** The same failure with what is known here of the daemon: that it hangs, or why none can be started. */
export function whyNoDaemon(io: ProcessIo, error: BrokerError): BrokerError {
  const { code, message, cause } = error;
  const folder = stateDirOrNone(io);
  const pid = code === 'ERR_REFRESH_PENDING' && folder !== undefined ? runningDaemon(folder)?.pid : undefined;
  if (pid !== undefined) {
    return new BrokerError(code, `${message}; its pid is ${pid}`, {
      remedy: 'restart it: broker service restart',
      cause,
    });
  }
  if (code !== 'ERR_DAEMON_UNREACHABLE') return error;
  const flaw = folder === undefined ? noHome(io) : launchFlaw(folder);
  if (flaw?.remedy === undefined) return error;
  return new BrokerError(code, `${message}: ${flaw.message}`, { remedy: flaw.remedy, cause });
}
