import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** In how many places of a process's memory a text is, by the form in which it is there. */
export interface Sightings {
  /** One byte a character: UTF-8, Latin-1, and most of V8's strings. */
  readonly plain: number;
  /** Two bytes a character. */
  readonly utf16: number;
  /** As it is, or behind one or two other characters: the middle of it, which its neighbours do not change. */
  readonly base64: number;
}

/** Read at a time, with an overlap as long as what is looked for. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * Looks through everything that a process can write to, as root can (proc(5): /proc/PID/mem). Sees what no garbage
 * collector counts any more: bytes that lie where something else has not been written yet.
 *
 * @param secrets by name; each of more than nine characters.
 */
export function searchMemory<Name extends string>(
  pid: number,
  secrets: Readonly<Record<Name, string | Uint8Array>>,
): Record<Name, Sightings> {
  const wanted = Object.entries<string | Uint8Array>(secrets).map(([name, secret]) => ({
    name,
    forms: formsOf(Buffer.from(secret as Uint8Array)),
    seen: { plain: 0, utf16: 0, base64: 0 },
  }));
  const longest = Math.max(...wanted.flatMap(({ forms }) => forms.map(({ bytes }) => bytes.length)));
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const { start, end } of writableRegions(pid)) {
      for (let at = start; at < end; at += CHUNK_BYTES) {
        const chunk = readAt(memory, at, Math.min(CHUNK_BYTES + longest - 1, end - at));
        for (const { forms, seen } of wanted) {
          for (const { kind, bytes } of forms) seen[kind] += countIn(chunk, bytes, CHUNK_BYTES);
        }
      }
    }
  } finally {
    closeSync(memory);
  }
  return Object.fromEntries(wanted.map(({ name, seen }) => [name, seen])) as Record<Name, Sightings>;
}

export function total({ plain, utf16, base64 }: Sightings): number {
  return plain + utf16 + base64;
}

function formsOf(secret: Buffer): { readonly kind: keyof Sightings; readonly bytes: Buffer }[] {
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), secret]).toString('base64url');
    return Buffer.from(text.slice(4, -4));
  });
  return [
    { kind: 'plain', bytes: secret },
    { kind: 'utf16', bytes: Buffer.from(secret.toString('latin1'), 'utf16le') },
    ...base64.map((bytes) => ({ kind: 'base64' as const, bytes })),
  ];
}

function writableRegions(pid: number): { readonly start: number; readonly end: number }[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, start = '', end = ''] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      return start === '' ? [] : [{ start: Number.parseInt(start, 16), end: Number.parseInt(end, 16) }];
    });
}

function readAt(memory: number, position: number, length: number): Buffer {
  const chunk = Buffer.allocUnsafe(length);
  try {
    return chunk.subarray(0, readSync(memory, chunk, 0, length, position));
  } catch {
    // Reserved, and nothing in it yet.
    return chunk.subarray(0, 0);
  }
}

/** Only those that begin within the first `limit` bytes: the others are in the next chunk too. */
function countIn(chunk: Buffer, bytes: Buffer, limit: number): number {
  let count = 0;
  for (let at = chunk.indexOf(bytes); at >= 0 && at < limit; at = chunk.indexOf(bytes, at + 1)) count += 1;
  return count;
}
