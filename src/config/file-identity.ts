import { stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * A text that changes whenever the content of a file, or who may change it, may have changed: by the file behind the
 * links and by the mode and owner of its folder.
 */
export async function fileIdentity(file: string): Promise<string> {
  const folder = await stat(path.dirname(file)).catch(() => undefined);
  const facts = await stat(file, { bigint: true }).catch(() => undefined);
  if (facts === undefined) return 'absent';
  const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = facts;
  return [dev, ino, size, mode, uid, mtimeNs, ctimeNs, folder?.mode, folder?.uid].join(':');
}
