import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { BrokerError, shellWord } from '../errors.ts';
import type { PlannedFile } from './manager.ts';

/** A unit that is a link belongs to whoever made the link: Home Manager, stow, `systemctl --user link` or `mask`. */
export function isLink(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/**
 * Before anything is written. A link that leads to just what is planned may stay.
 *
 * @throws BrokerError ERR_CONFIG for one that leads to something else.
 */
export function refuseForeignLinks(files: readonly PlannedFile[]): void {
  for (const { path: file, content } of files) {
    if (!isLink(file) || leadsTo(file, content)) continue;
    const target = readlinkSync(file);
    if (target === '/dev/null') {
      const unit = file.slice(file.lastIndexOf('/') + 1);
      throw new BrokerError('ERR_CONFIG', `${unit} is masked: it was meant not to run`, {
        remedy: `run: systemctl --user unmask ${unit}`,
      });
    }
    throw new BrokerError('ERR_CONFIG', `${file} is a link to ${target}: something else keeps it`, {
      remedy: `change it where it comes from (broker service install --dry-run shows what it should be), or run: rm ${shellWord(file)}`,
    });
  }
}

function leadsTo(file: string, content: string): boolean {
  try {
    return readFileSync(file, 'utf8') === content;
  } catch {
    return false;
  }
}
