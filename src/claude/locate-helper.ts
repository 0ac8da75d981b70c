import { accessSync, constants, realpathSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BrokerError } from '../errors.ts';
import { statQuietly } from './read-quietly.ts';

/** `bin/broker-key` of this installation, seen from src/claude and from dist/claude alike. */
const OWN_PLACE = '../../bin/broker-key';

/**
 * The path of `broker-key` to write into settings: the name on PATH if it leads to this installation's own binary (it
 * survives an upgrade), else that binary, else whatever PATH has. undefined: nowhere.
 */
export function locateHelper(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const beside = fileURLToPath(new URL(OWN_PLACE, import.meta.url));
  const own = isProgram(beside) ? beside : undefined;
  const folders = (env['PATH'] ?? '').split(':').filter((folder) => path.isAbsolute(folder));
  const onPath = folders.map((folder) => path.join(folder, 'broker-key')).filter(isProgram);
  return onPath.find((file) => own !== undefined && realpathSync(file) === realpathSync(own)) ?? own ?? onPath[0];
}

/** @throws BrokerError ERR_USAGE if nothing executable is there. */
export function requireHelper(file: string | undefined): string {
  if (file === undefined) {
    throw new BrokerError('ERR_USAGE', 'broker-key was not found beside this program or on PATH', {
      remedy: 'name it: --helper /absolute/path/to/broker-key',
    });
  }
  if (!isProgram(file)) {
    throw new BrokerError('ERR_USAGE', `${file} is no executable file`, {
      remedy: 'name the right path with --helper, or add --force if it is meant for another machine',
    });
  }
  return file;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statQuietly(file)?.isFile() === true;
  } catch {
    return false;
  }
}
