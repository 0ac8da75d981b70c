import { SecretBytes } from '../credential/secret-bytes.ts';
import { BrokerError } from '../errors.ts';
import type { CliIo } from './cli-io.ts';

/** Longer is neither a password nor a code. */
const LONGEST_LINE = 4_096;

/** What a script hands in on standard input, one line after the other. */
export class HandedInLines {
  readonly #io: CliIo;
  #chunks: AsyncIterator<Buffer> | undefined;
  #rest = '';
  #isOver = false;

  constructor(io: CliIo) {
    this.#io = io;
  }

  /** The next line. @throws BrokerError ERR_USAGE if there is none, or an empty one. */
  async next(what: 'password' | 'passcode'): Promise<SecretBytes> {
    while (!this.#isOver && !this.#rest.includes('\n') && this.#rest.length <= LONGEST_LINE) {
      this.#chunks ??= this.#io.stdin?.[Symbol.asyncIterator]();
      const chunk = await this.#chunks?.next();
      if (chunk === undefined || chunk.done === true) this.#isOver = true;
      else this.#rest += chunk.value.toString('utf8');
    }
    const end = this.#rest.indexOf('\n');
    const line = (end === -1 ? this.#rest : this.#rest.slice(0, end)).replace(/\r$/, '');
    this.#rest = end === -1 ? '' : this.#rest.slice(end + 1);
    if (line !== '' && line.length <= LONGEST_LINE) return SecretBytes.fromString(line);
    throw new BrokerError('ERR_USAGE', `standard input holds no ${what}`, {
      remedy: `hand in one line: … --${what}-stdin < FILE; with a password and a passcode, the passcode is the second line`,
    });
  }
}
