import { rmSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../errors.ts';
import { problemLine } from '../protocol/problem.ts';
import { identityOf, readRegularFile, realPathQuietly, replaceFile } from './files.ts';

/** A configuration that did not change may have become valid nevertheless: a certificate that it names is there now. */
const CONFIGURATION_HOLDS_MS = 10 * 60_000;
/** Anything else may be over in a moment; the helpers that wait right now are told. */
const OTHERS_HOLD_MS = 2_000;
/** native/start-daemon.c reads no more. */
const LARGEST_BYTES = 8_191;

const FIRST_LINE = 'broker-refusal 1';
/** A longer one was written before the clock was set back. */
const LONGEST_MS = 3_600_000;

/**
 * STATE/refusal: why this daemon did not start, and of which files that holds, for the helpers that look for a daemon. They
 * start no other until one of the files has changed: native/start-daemon.c, `refused_before`, reads it.
 *
 * Written and removed with the lock of the state folder held.
 */
export class Refusal {
  readonly #file: string;
  readonly #seen: readonly (readonly [identity: string, file: string])[];
  #ofConfiguration: BrokerError | undefined;

  /** Made before the configuration is read, so that a change during the reading counts as one. */
  constructor(stateDir: string, configFile: string, program: readonly string[]) {
    this.#file = fileIn(stateDir);
    const real = realPathQuietly(configFile) ?? configFile;
    const files = new Set([configFile, path.dirname(configFile), real, path.dirname(real), ...program]);
    this.#seen = [...files].map((file) => [identityOf(file), file]);
  }

  /** It is the configuration file that is refused, and until that changes there is nothing to try again. */
  ofConfiguration(error: BrokerError): BrokerError {
    this.#ofConfiguration = error;
    return error;
  }

  leave(error: unknown, wallMs: number): void {
    if (!(error instanceof BrokerError)) return;
    const holdsMs = error === this.#ofConfiguration ? CONFIGURATION_HOLDS_MS : OTHERS_HOLD_MS;
    const until = Math.ceil((wallMs + holdsMs) / 1000);
    const lines = [
      FIRST_LINE,
      `exit ${error.exitCode}`,
      `until ${until}`,
      ...this.#seen.map(([identity, file]) => `saw ${identity} ${file}`),
      `line ${problemLine(error)}`,
    ];
    const text = lines.map((line) => `${line}\n`).join('');
    if (Buffer.byteLength(text) > LARGEST_BYTES || text.split('\n').length !== lines.length + 1) return;
    try {
      replaceFile(this.#file, text, { mode: 0o600 });
    } catch {
      // Each helper then starts a daemon and is told by its exit code.
    }
  }

  remove(): void {
    forgetRefusal(path.dirname(this.#file));
  }
}

/** Somebody starts a daemon on purpose, or one has started. */
export function forgetRefusal(stateDir: string): void {
  try {
    rmSync(fileIn(stateDir), { force: true });
  } catch {
    // A folder of that name: neither the helper nor the CLI takes it for a refusal.
  }
}

/** Why the last daemon did not start, if that still holds: as the helper judges it, for the CLI. */
export function readRefusal(stateDir: string, uid: number, wallMs: number): BrokerError | undefined {
  const reading = readRegularFile(fileIn(stateDir), { maxBytes: LARGEST_BYTES, followLinks: false });
  if (reading.state !== 'read' || reading.stats.uid !== uid || (reading.stats.mode & 0o077) !== 0) return undefined;
  const [first, ...lines] = reading.bytes.toString().split('\n');
  const valuesOf = (key: string) =>
    lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.slice(key.length + 1));
  const [exit = '', until = '', said = ''] = ['exit', 'until', 'line'].map((key) => valuesOf(key)[0]);
  const isChanged = valuesOf('saw').some((seen) => {
    const at = seen.indexOf(' ');
    return identityOf(seen.slice(at + 1)) !== seen.slice(0, at);
  });
  const leftMs = Number(until) * 1000 - wallMs;
  if (first !== FIRST_LINE || said === '' || isChanged || !(leftMs > 0 && leftMs <= LONGEST_MS)) return undefined;
  return new BrokerError(exit === '78' ? 'ERR_CONFIG' : 'ERR_DAEMON_UNREACHABLE', said);
}

function fileIn(stateDir: string): string {
  return path.join(stateDir, 'refusal');
}
