import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A file in `folder` that only its owner can read; answers its path. */
export async function privateFile(folder: string, name: string, content: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, content, { mode: 0o600 });
  return file;
}
