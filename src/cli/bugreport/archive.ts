import { gzipSync } from 'node:zlib';

export interface ArchivedFile {
  /** Without a folder, at most 60 characters. */
  readonly name: string;
  readonly content: string;
}

const BLOCK = 512;

/**
 * A gzipped tar archive (POSIX ustar) with these files, 0600, in one folder. Written here because a handful of small files with
 * short names needs one header format: `tar` and `tar-stream` bring five to ten packages for what this does not use, and
 * the system's `tar` would need the files on the disk first, and is not in every container.
 */
export function archive(folder: string, files: readonly ArchivedFile[], mtimeMs: number): Buffer {
  const blocks = files.flatMap(({ name, content }) => {
    const bytes = Buffer.from(content);
    const padding = Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK);
    return [header(`${folder}/${name}`, bytes.length, mtimeMs), bytes, padding];
  });
  // Two empty blocks end an archive.
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
}

/** https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html, "ustar Interchange Format". Owner 0: nobody's name is told. */
function header(name: string, size: number, mtimeMs: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number) => block.write(value.toString(8).padStart(digits, '0'), at);
  block.write(name, 0, 100);
  octal(0o600, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(Math.floor(mtimeMs / 1000), 136, 11);
  block.write('0', 156);
  block.write('ustar\u000000', 257);
  // The sum is taken with spaces in its own place.
  block.fill(' ', 148, 156);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  block.write('\0 ', 154);
  return block;
}
