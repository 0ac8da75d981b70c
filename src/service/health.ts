import { BrokerClient } from '../client/broker-client.ts';
import { socketCandidates } from '../config/paths.ts';
import { BrokerError } from '../errors.ts';
import type { DaemonStatus } from '../protocol/status.ts';
import type { ServiceManager } from './manager.ts';
import { run, type Surroundings } from './surroundings.ts';

/** Starting takes a fraction of a second, on a machine that is busy booting a few. */
const LIMIT_MS = 15_000;
const LOOK_EVERY_MS = 50;
const LAST_LINES = 8;

/** Who answers now; undefined if nobody does. */
export async function askStatus(surroundings: Surroundings): Promise<DaemonStatus | undefined> {
  try {
    return (await clientOf(surroundings).status()).daemon;
  } catch {
    return undefined;
  }
}

/**
 * Waits until the daemon answers.
 *
 * @throws BrokerError with the newest lines of the log if it does not, or with the daemon's own words if those are
 * what it answers.
 */
export async function untilHealthy(surroundings: Surroundings, manager: ServiceManager): Promise<DaemonStatus> {
  const { clock } = surroundings;
  const giveUpAt = clock.now() + LIMIT_MS;
  for (;;) {
    try {
      return (await clientOf(surroundings).status()).daemon;
    } catch (error) {
      const failed = clock.now() >= giveUpAt || !(error instanceof BrokerError) || !isPassing(error);
      if (failed) throw await withLog(error, surroundings, manager);
    }
    await new Promise<void>((resolve) => clock.after(LOOK_EVERY_MS, resolve));
  }
}

export async function lastLogLines(surroundings: Surroundings, manager: ServiceManager): Promise<string> {
  const command = manager.logCommand(LAST_LINES, false);
  if (command === undefined) return '';
  const { stdout } = await run(command, surroundings.env);
  return stdout.trim();
}

function clientOf(surroundings: Surroundings): BrokerClient {
  return new BrokerClient({ places: socketCandidates(surroundings), uid: surroundings.uid, clock: surroundings.clock });
}

function isPassing({ code }: BrokerError): boolean {
  return code === 'ERR_DAEMON_UNREACHABLE' || code === 'ERR_OVERLOADED' || code === 'ERR_REFRESH_PENDING';
}

/** The same error with the newest lines of the log, where there is one: they say what the service manager does not. */
export async function withLog(
  error: unknown,
  surroundings: Surroundings,
  manager: ServiceManager,
): Promise<BrokerError> {
  const why = error instanceof Error ? error.message : String(error);
  const known = error instanceof BrokerError ? error : undefined;
  const lines = await lastLogLines(surroundings, manager);
  const log = lines === '' ? '' : `\nThe newest lines of its log:\n${lines.replaceAll(/^/gm, '  ')}`;
  return new BrokerError(known?.code ?? 'ERR_DAEMON_UNREACHABLE', `${why}${log}`, {
    remedy:
      manager.kind === 'none'
        ? 'run it where you see it: broker daemon'
        : (known?.remedy ?? 'run: broker service logs'),
    cause: error,
  });
}
