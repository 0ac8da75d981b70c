import { lstatSync, mkdirSync } from 'node:fs';
import { BrokerError } from '../errors.ts';

/**
 * Makes a folder that nobody else can reach, or takes the one there is if it is that.
 *
 * @throws BrokerError ERR_UNSAFE_FILE for a symbolic link, a foreign owner or any bit for group or others.
 */
export function ensurePrivateFolder(folder: string, uid: number): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = lstatSync(folder);
  if (!stat.isDirectory()) throw unsafe(`${folder} is no folder`, `remove it: rm ${folder}`);
  if (stat.uid !== uid)
    throw unsafe(`${folder} belongs to another user (uid ${stat.uid})`, `remove it or give it back`);
  if ((stat.mode & 0o077) !== 0) throw unsafe(`${folder} can be reached by others`, `type: chmod 700 ${folder}`);
  return folder;
}

function unsafe(message: string, remedy: string): BrokerError {
  return new BrokerError('ERR_UNSAFE_FILE', message, { remedy });
}
