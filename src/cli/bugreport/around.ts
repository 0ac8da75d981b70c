import type { DoctorReport } from '../../claude/doctor/report.ts';
import { connect } from '../../client/broker-client.ts';
import type { LoadResult } from '../../config/load.ts';
import { configFile, expandHome, stateDir } from '../../config/paths.ts';
import { LARGEST_CONFIG_BYTES } from '../../config/safe-file.ts';
import { BrokerError } from '../../errors.ts';
import { readTextQuietly } from '../../platform/files.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { isSecretName } from '../../platform/text.ts';
import { within } from '../../platform/waiting.ts';
import type { StatusReport } from '../../protocol/reports.ts';
import { loadOwnConfig } from '../../providers/own-config.ts';
import { Service } from '../../service/service.ts';
import { runningDaemon } from '../../service/unmanaged.ts';
import { Masking } from './masking.ts';

export interface Around {
  readonly io: ProcessIo;
  readonly masking: Masking;
  readonly loaded: LoadResult;
  /** Of the daemon; else why there is none. */
  readonly status: StatusReport | BrokerError;
  doctor: DoctorReport | undefined;
}

export async function lookAround(io: ProcessIo): Promise<Around> {
  const { env, homeDir } = io;
  const masking = new Masking(homeDir);
  const secretVariables = Object.entries(env).filter(([name]) => isSecretName(name));
  masking.learn(secretVariables.map(([, value]) => value));
  for (const value of Object.values(env)) masking.text(value ?? '');
  const file = placeOf(() => configFile(io)) ?? '';
  const written = readTextQuietly(file, LARGEST_CONFIG_BYTES) ?? '';
  masking.learnAssignments(written);
  const loaded = await loadOwnConfig(io, file);
  if (loaded.faults === undefined) masking.learn(loaded.hidden());
  masking.learn(secretFiles(written, homeDir));
  return { io, masking, loaded, status: await askDaemon(io), doctor: undefined };
}

/** What `password_file` and its like name: a text of a line, which something may have written into a log. */
function secretFiles(written: string, homeDir: string): readonly string[] {
  const named = written.matchAll(/([\w-]+)_file"?\s*=\s*["']([^"'\r\n]+)/g);
  const files = [...named].flatMap(([, name = '', file = '']) =>
    isSecretName(name) ? [expandHome(file, homeDir)] : [],
  );
  const texts = [...files, expandHome('~/.vault-token', homeDir)].map((file) => readTextQuietly(file, LARGEST_SECRET));
  return texts.flatMap((text) => (text === undefined || text.trim().includes('\n') ? [] : [text]));
}

/** One that takes longer hangs, which is what the report then says. */
const LARGEST_SECRET = 4_096;
const ANSWER_LIMIT_MS = 5_000;

function silent(): BrokerError {
  return new BrokerError('ERR_REFRESH_PENDING', `the daemon did not answer within ${ANSWER_LIMIT_MS / 1000} seconds`);
}

async function askDaemon(io: ProcessIo): Promise<StatusReport | BrokerError> {
  try {
    // A stopped service would be started by a connection to its socket.
    if (runningDaemon(stateDir(io)) === undefined && (await new Service(io).state()).running === false)
      return new BrokerError('ERR_DAEMON_UNREACHABLE', 'no daemon runs');
    return await within([io.signal], { clock: io.clock, limitMs: ANSWER_LIMIT_MS, late: silent }, (signal) =>
      connect(io).status(signal),
    );
  } catch (error) {
    return error instanceof BrokerError ? error : new BrokerError('ERR_DAEMON_UNREACHABLE', 'no daemon can be asked');
  }
}

/** A variable that makes no sense is told by the parts that need the place. */
export function placeOf(find: () => string): string | undefined {
  try {
    return find();
  } catch {
    return undefined;
  }
}
