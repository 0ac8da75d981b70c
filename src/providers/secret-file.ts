import { expandHome } from '../config/paths.ts';
import { flawOfTrusted } from '../config/safe-file.ts';
import { asUtf8 } from '../credential/secret.ts';
import { ProviderError } from '../errors.ts';
import { readRegularFile } from '../platform/files.ts';
import type { ProviderHost } from './provider.ts';

/** A token, secret-id, password or JWT is far smaller; anything larger is the wrong file. */
const LARGEST_BYTES = 65_536;

/**
 * One login input from a file, without surrounding white space.
 *
 * @throws ProviderError login-expired if there is nothing to read (it may be put there any moment) or others could have
 * written it, misconfigured if what is there cannot be a single secret.
 */
export function readSecretFile(file: string, what: string, host: ProviderHost): string {
  const path = expandHome(file, host.homeDir);
  const reading = readRegularFile(path, { maxBytes: LARGEST_BYTES });
  if (reading.state === 'absent') throw missing(`the file with the ${what}, ${path}, does not exist`, path, what);
  if (reading.state === 'refused') throw unusable(path, what, reading.fault);
  const flaw = flawOfTrusted(path, reading.stats, process.getuid?.() ?? 0);
  if (flaw !== undefined) {
    reading.bytes.fill(0);
    throw unsafe(`the ${what} is not taken: ${flaw.reason}`, flaw.remedy);
  }
  const text = asUtf8(reading.bytes);
  const content = text.toString('utf8').trim();
  text.fill(0);
  reading.bytes.fill(0);
  if (content === '') throw missing(`the file with the ${what}, ${path}, is empty`, path, what);
  // A header or JSON field of Vault's is one line of ASCII; a password may be any text.
  if (what !== 'password' && !/^[\x21-\x7e]+$/.test(content)) {
    throw unusable(path, what, 'holds more than one word, or other than ASCII');
  }
  return content;
}

function missing(message: string, path: string, what: string): ProviderError {
  return new ProviderError('login-expired', message, { remedy: `write a valid ${what} to ${path}` });
}

/** Whoever can put a login of their own there decides what the daemon reads, and learns what it writes. */
function unsafe(message: string, remedy: string): ProviderError {
  return new ProviderError('login-expired', message, { code: 'ERR_UNSAFE_FILE', remedy, concerns: 'login' });
}

function unusable(path: string, what: string, fault: string): ProviderError {
  return new ProviderError('misconfigured', `the file with the ${what}, ${path}, ${fault}`, {
    remedy: `put nothing but the ${what} into ${path}, readable for you alone`,
  });
}
