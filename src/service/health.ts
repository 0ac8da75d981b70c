import { connect } from '../client/broker-client.ts';
import { ownStateDir, stateDir } from '../config/paths.ts';
import { BrokerError } from '../errors.ts';
import { forgetRefusal } from '../platform/refusal.ts';
import { sleep } from '../platform/waiting.ts';
import type { DaemonStatus } from '../protocol/reports.ts';
import { run, type ServiceManager, type Surroundings } from './manager.ts';

/** Starting takes a fraction of a second, on a machine that is busy booting a few. */
const LIMIT_MS = 15_000;
const LOOK_EVERY_MS = 50;
const LAST_LINES = 8;
const SETTLE_MS = 150;
const MOST_LOOKS = 5;

/** The daemon that answers now; undefined if none does. */
export async function askStatus(surroundings: Surroundings): Promise<DaemonStatus | undefined> {
  try {
    return (await connect(surroundings).status()).daemon;
  } catch {
    return undefined;
  }
}

/**
 * Does what starts the service, and waits until the daemon answers.
 *
 * @throws BrokerError why it does not: the daemon's own words if it answers with those, else what the service manager
 * knows, and what was logged meanwhile.
 */
export async function bringUp<T>(
  surroundings: Surroundings,
  manager: ServiceManager,
  start: () => Promise<T>,
): Promise<{ readonly done: T; readonly daemon: DaemonStatus }> {
  const sinceMs = surroundings.clock.wall();
  forgetRefusal(ownStateDir(stateDir(surroundings)));
  try {
    const done = await start();
    return { done, daemon: await untilHealthy(surroundings, manager) };
  } catch (error) {
    // Where there is a log, it has all that a daemon said that refuses its configuration.
    const isTold = manager.kind === 'none' ? ['ERR_DAEMON_UNREACHABLE'] : ['ERR_DAEMON_UNREACHABLE', 'ERR_CONFIG'];
    const isOfTheService = error instanceof BrokerError && isTold.includes(error.code);
    throw isOfTheService ? await explained(error, surroundings, manager, sinceMs) : error;
  }
}

async function untilHealthy(surroundings: Surroundings, manager: ServiceManager): Promise<DaemonStatus> {
  const { clock } = surroundings;
  const giveUpAt = clock.now() + LIMIT_MS;
  for (;;) {
    try {
      return (await connect(surroundings).status()).daemon;
    } catch (error) {
      // Without a manager nothing starts it again.
      const ended = manager.kind === 'none' && (await manager.failure()) !== undefined;
      if (ended || clock.now() >= giveUpAt || !(error instanceof BrokerError) || !isPassing(error)) throw error;
    }
    await sleep(LOOK_EVERY_MS, clock);
  }
}

function isPassing({ code }: BrokerError): boolean {
  return code === 'ERR_DAEMON_UNREACHABLE' || code === 'ERR_OVERLOADED' || code === 'ERR_REFRESH_PENDING';
}

async function explained(
  error: BrokerError,
  surroundings: Surroundings,
  manager: ServiceManager,
  sinceMs: number,
): Promise<BrokerError> {
  const failure = await manager.failure();
  const said = await lastWords(surroundings, manager, sinceMs);
  const why = failure === undefined ? error.message : `the service ${failure.reason}`;
  const known = failure?.remedy ?? error.remedy ?? 'run: broker service logs';
  return new BrokerError(failure?.code ?? error.code, `${why}${said}`, {
    remedy:
      manager.kind === 'none' && failure?.code !== 'ERR_CONFIG' ? 'run it where you see it: broker daemon' : known,
    cause: error,
  });
}

/** The newest lines of the log; where the user may not read one, how the service manager puts it. */
async function lastWords(surroundings: Surroundings, manager: ServiceManager, sinceMs: number): Promise<string> {
  const logged = await settled(surroundings, () =>
    output(manager.logCommand({ lines: LAST_LINES, sinceMs }), surroundings),
  );
  if (logged !== '') return `\nThe newest lines of its log:\n${indented(logged)}`;
  const described = await output(manager.describeCommand, surroundings);
  return described === ''
    ? ''
    : `\nIts log cannot be read or is empty. The service manager says:\n${indented(described)}`;
}

/** The journal is written a moment after the service manager has answered. */
async function settled({ clock }: Surroundings, read: () => Promise<string>): Promise<string> {
  let last = await read();
  for (let looks = 0; looks < MOST_LOOKS; looks++) {
    await sleep(SETTLE_MS, clock);
    const next = await read();
    if (next === last) break;
    last = next;
  }
  return last;
}

async function output(command: readonly string[] | undefined, surroundings: Surroundings): Promise<string> {
  if (command === undefined) return '';
  const { stdout } = await run(command, surroundings);
  // journalctl(1) with nothing to show.
  return stdout.trim() === '-- No entries --' ? '' : stdout.trim();
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}
