import { deleteBackups, listBackups } from '../../claude/backups.ts';
import { stateDir } from '../../config/paths.ts';
import type { CliIo } from '../cli-io.ts';

export function backupsAction(io: CliIo, options: { delete?: string; json?: true }): void {
  const folder = stateDir(io);
  const backups = options.delete === undefined ? listBackups(folder) : deleteBackups(folder, options.delete);
  if (options.json) {
    io.stdout(`${JSON.stringify({ deleted: options.delete !== undefined, backups }, null, 2)}\n`);
    return;
  }
  for (const { id, file, reason, copy } of backups) {
    io.stdout(options.delete === undefined ? `${id}  ${file}\n  ${reason}\n  ${copy}\n` : `deleted ${id} of ${file}\n`);
  }
  if (backups.length === 0) io.stdout('there are no backups\n');
}
