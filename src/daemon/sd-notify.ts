import type { BrokerError } from '../errors.ts';
import { type Clock, monotonicMicros, type Timer } from '../platform/clock.ts';
import { LAUNCH_AGENT } from '../platform/installation.ts';
import type { NativeBindings } from '../platform/native.ts';
import { runProgram } from '../platform/run-program.ts';

/** `systemctl` answers from memory; one that does not must not hold up a stop. */
const SYSTEMCTL_LIMIT_MS = 1_000;
/** sd_watchdog_enabled(3) recommends half of the interval. */
const WATCHDOG_SHARE = 0.5;

/**
 * What systemd is told and asked: readiness, reload, stop and signs of life by sd_notify(3). Does nothing where there
 * is no systemd or no addon. The variables are taken out of `env`, because children would take them for theirs.
 */
export class SystemdNotifier {
  readonly #notifyAddress: string | undefined;
  readonly #watchdogMs: number;
  readonly #isSystemd: boolean;
  readonly #isLaunchAgent: boolean;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #native: NativeBindings | undefined;
  #watchdog: Timer | undefined;

  constructor(env: Record<string, string | undefined>, native: NativeBindings | undefined) {
    this.#env = env;
    this.#native = native;
    this.#notifyAddress = env['NOTIFY_SOCKET'];
    this.#watchdogMs = watchdogInterval(env);
    // A terminal that systemd started has an INVOCATION_ID too: SYSTEMD_EXEC_PID says which process is meant.
    this.#isSystemd = env['INVOCATION_ID'] !== undefined && env['SYSTEMD_EXEC_PID'] === String(process.pid);
    this.#isLaunchAgent = env['XPC_SERVICE_NAME'] === LAUNCH_AGENT;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
  }

  get isLaunchAgent(): boolean {
    return this.#isLaunchAgent;
  }

  /** systemd started this process, or launchd did for the agent that `broker service install` made. */
  get isService(): boolean {
    return this.#isSystemd || this.#isLaunchAgent;
  }

  /**
   * launchd starts an agent again every five seconds, for ever, unless it ended with 0: which is right for all that may pass, and
   * not for what only a person can change. STATE/refusal has the words for helper and CLI.
   */
  endsQuietly(error: BrokerError): boolean {
    return this.#isLaunchAgent && error.code === 'ERR_CONFIG';
  }

  ready(clock: Clock): void {
    this.#notify('READY=1');
    if (this.#watchdogMs > 0) this.#feedWatchdog(clock);
  }

  /** systemd.service(5), Type=notify-reload: READY=1 follows when the reload is done. */
  reloading(): void {
    this.#notify(`RELOADING=1\nMONOTONIC_USEC=${monotonicMicros()}`);
  }

  reloaded(): void {
    this.#notify('READY=1');
  }

  stopping(): void {
    this.#watchdog?.cancel();
    this.#notify('STOPPING=1');
  }

  /**
   * What becomes of the service after this process. systemd has a job that starts it again while it restarts or upgrades
   * it; launchd does not say, and systemd may not answer.
   */
  async whatFollows(clock: Clock): Promise<'stop' | 'restart' | 'unknown'> {
    if (this.#isLaunchAgent) return 'unknown';
    if (!this.#isSystemd) return 'stop';
    const command = ['systemctl', '--user', 'list-jobs', '--no-legend', '--plain'];
    const { status, stdout } = await runProgram(command, { env: this.#env, limitMs: SYSTEMCTL_LIMIT_MS }, clock);
    if (status !== 0) return 'unknown';
    return /\bbroker\.service\s+(?:re)?start\b/.test(stdout.toString()) ? 'restart' : 'stop';
  }

  #feedWatchdog(clock: Clock): void {
    this.#notify('WATCHDOG=1');
    this.#watchdog = clock.after(this.#watchdogMs * WATCHDOG_SHARE, () => this.#feedWatchdog(clock));
  }

  #notify(message: string): void {
    if (this.#notifyAddress === undefined) return;
    try {
      this.#native?.sdNotify(this.#notifyAddress, message);
    } catch {
      // The service manager went away.
    }
  }
}

function watchdogInterval(env: Readonly<Record<string, string | undefined>>): number {
  const { WATCHDOG_USEC, WATCHDOG_PID } = env;
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(process.pid)) return 0;
  const micros = Number(WATCHDOG_USEC ?? 0);
  return Number.isFinite(micros) && micros > 0 ? micros / 1000 : 0;
}
