import { createHash } from 'node:crypto';

/**
 * The ad-hoc signature of a Mach-O file: the hash of every page, which the kernel compares when it loads one, and nobody's name. The
 * pinned linker signs for arm64, where nothing runs without it, and not for Intel. <mach-o/loader.h>; xnu's <kern/cs_blobs.h>.
 */
const LC_SEGMENT_64 = 0x19;
const LC_UUID = 0x1b;
const LC_CODE_SIGNATURE = 0x1d;
const HEADER_BYTES = 32;
const CSMAGIC_EMBEDDED_SIGNATURE = 0xfade0cc0;
const CSMAGIC_CODEDIRECTORY = 0xfade0c02;
const VERSION_WITH_EXEC_SEGMENT = 0x20400;
const DIRECTORY_BYTES = 88;
const CS_ADHOC = 0x2;
const CS_HASHTYPE_SHA256 = 2;
const CS_EXECSEG_MAIN_BINARY = 1;
const MH_EXECUTE = 2;
const HASH_BYTES = 32;
const PAGE_BITS = 12;
const PAGE_BYTES = 1 << PAGE_BITS;
/** __LINKEDIT is mapped in whole pages, which have 16 KiB on arm64. */
const LARGEST_PAGE = 16_384;

interface Command {
  readonly kind: number;
  readonly at: number;
}

function* commandsOf(bytes: Buffer): Generator<Command> {
  let at = HEADER_BYTES;
  for (let left = bytes.readUInt32LE(16); left > 0; left--) {
    yield { kind: bytes.readUInt32LE(at), at };
    at += bytes.readUInt32LE(at + 4);
  }
}

function segment(bytes: Buffer, name: string): number {
  for (const { kind, at } of commandsOf(bytes))
    if (kind === LC_SEGMENT_64 && bytes.toString('latin1', at + 8, at + 24).replace(/\0.*/s, '') === name) return at;
  throw new Error(`there is no segment ${name}`);
}

export function hasUuid(bytes: Buffer): boolean {
  return [...commandsOf(bytes)].some(({ kind }) => kind === LC_UUID);
}

/** The same file with a signature at its end; one that is signed is returned as it is. @throws Error where there is no room. */
export function signAdHoc(unsigned: Buffer, identifier: string): Buffer {
  const commands = [...commandsOf(unsigned)];
  if (commands.some(({ kind }) => kind === LC_CODE_SIGNATURE)) return unsigned;
  const [text, linkEdit] = [segment(unsigned, '__TEXT'), segment(unsigned, '__LINKEDIT')];
  const codeLimit = Math.ceil(unsigned.length / 16) * 16;
  const pages = Math.ceil(codeLimit / PAGE_BYTES);
  const name = Buffer.from(`${identifier}\0`);
  const hashesAt = DIRECTORY_BYTES + name.length;
  const directoryBytes = hashesAt + pages * HASH_BYTES;
  const signatureBytes = Math.ceil((20 + directoryBytes) / 16) * 16;
  const signed = Buffer.alloc(codeLimit + signatureBytes);
  unsigned.copy(signed);

  const commandAt = HEADER_BYTES + unsigned.readUInt32LE(20);
  if (signed.subarray(commandAt, commandAt + 16).some((byte) => byte !== 0))
    throw new Error('no room for a load command');
  signed.writeUInt32LE(commands.length + 1, 16);
  signed.writeUInt32LE(unsigned.readUInt32LE(20) + 16, 20);
  for (const [index, value] of [LC_CODE_SIGNATURE, 16, codeLimit, signatureBytes].entries())
    signed.writeUInt32LE(value, commandAt + index * 4);
  const linkEditBytes = signed.length - Number(signed.readBigUInt64LE(linkEdit + 40));
  signed.writeBigUInt64LE(BigInt(linkEditBytes), linkEdit + 48);
  signed.writeBigUInt64LE(BigInt(Math.ceil(linkEditBytes / LARGEST_PAGE) * LARGEST_PAGE), linkEdit + 32);

  const directory = Buffer.alloc(directoryBytes);
  const words = [
    CSMAGIC_CODEDIRECTORY,
    directoryBytes,
    VERSION_WITH_EXEC_SEGMENT,
    CS_ADHOC,
    hashesAt,
    DIRECTORY_BYTES,
    0,
    pages,
    codeLimit,
  ];
  for (const [index, value] of words.entries()) directory.writeUInt32BE(value, index * 4);
  directory.set([HASH_BYTES, CS_HASHTYPE_SHA256, 0, PAGE_BITS], 36);
  directory.writeBigUInt64BE(signed.readBigUInt64LE(text + 40), 64);
  directory.writeBigUInt64BE(signed.readBigUInt64LE(text + 48), 72);
  directory.writeBigUInt64BE(BigInt(signed.readUInt32LE(12) === MH_EXECUTE ? CS_EXECSEG_MAIN_BINARY : 0), 80);
  name.copy(directory, DIRECTORY_BYTES);
  for (let page = 0; page < pages; page++)
    hashOf(signed, page, codeLimit).copy(directory, hashesAt + page * HASH_BYTES);

  for (const [index, value] of [CSMAGIC_EMBEDDED_SIGNATURE, 20 + directoryBytes, 1, 0, 20].entries())
    signed.writeUInt32BE(value, codeLimit + index * 4);
  directory.copy(signed, codeLimit + 20);
  return signed;
}

/** What the kernel would refuse: pages that are not what was signed. */
export function signatureFaults(bytes: Buffer): readonly string[] {
  const command = [...commandsOf(bytes)].find(({ kind }) => kind === LC_CODE_SIGNATURE);
  if (command === undefined) return ['it has no signature'];
  const at = bytes.readUInt32LE(command.at + 8);
  if (bytes.readUInt32BE(at) !== CSMAGIC_EMBEDDED_SIGNATURE) return ['its signature is not one'];
  for (let index = bytes.readUInt32BE(at + 8) - 1; index >= 0; index--) {
    const directory = bytes.subarray(at + bytes.readUInt32BE(at + 12 + index * 8 + 4));
    if (directory.readUInt32BE(0) === CSMAGIC_CODEDIRECTORY) return directoryFaults(bytes, directory);
  }
  return ['its signature has no code directory'];
}

function directoryFaults(bytes: Buffer, directory: Buffer): readonly string[] {
  const [hashesAt, pages, codeLimit] = [
    directory.readUInt32BE(16),
    directory.readUInt32BE(28),
    directory.readUInt32BE(32),
  ];
  const [hashBytes, hashType, , pageBits = 0] = directory.subarray(36, 40);
  if (hashBytes !== HASH_BYTES || hashType !== CS_HASHTYPE_SHA256 || pageBits < PAGE_BITS || pageBits > 14)
    return ['its pages are signed in a way that is not known here'];
  const wrong = Array.from({ length: pages }, (_, page) => page).filter((page) => {
    const kept = directory.subarray(hashesAt + page * HASH_BYTES, hashesAt + (page + 1) * HASH_BYTES);
    return !kept.equals(hashOf(bytes, page, codeLimit, 1 << pageBits));
  });
  const missing = pages === Math.ceil(codeLimit / (1 << pageBits)) ? [] : ['not every page is signed'];
  return [...missing, ...wrong.map((page) => `page ${page} is not what was signed`)];
}

function hashOf(bytes: Buffer, page: number, limit: number, pageBytes = PAGE_BYTES): Buffer {
  const start = page * pageBytes;
  return createHash('sha256')
    .update(bytes.subarray(start, Math.min(start + pageBytes, limit)))
    .digest();
}
