/** What a binary says of itself: enough of ELF and Mach-O to tell whether a machine it was not built on would take it. */
export interface BinaryFacts {
  readonly format: 'ELF' | 'Mach-O';
  readonly platform: 'linux' | 'darwin';
  readonly arch: string;
  readonly kind: 'program' | 'library';
  /** What it needs at run time: an interpreter or a C library's oldest version; empty for what is static. */
  readonly needs: readonly string[];
  /** Mach-O alone: without a signature, if only an ad-hoc one, arm64 refuses it. */
  readonly signed: boolean;
}

/** @throws Error for what is neither, or not for 64 bits. */
export function inspect(bytes: Buffer): BinaryFacts {
  if (bytes.readUInt32BE(0) === 0x7f454c46) return inspectElf(bytes);
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return inspectMachO(bytes);
  throw new Error(`neither ELF nor Mach-O for 64 bits: it begins with ${bytes.subarray(0, 4).toString('hex')}`);
}

/** elf(5). */
const ELF_MACHINES: Readonly<Record<number, string>> = { 62: 'x64', 183: 'arm64' };
const PT_INTERP = 3;
const PT_DYNAMIC = 2;

function inspectElf(bytes: Buffer): BinaryFacts {
  const machine = bytes.readUInt16LE(18);
  const [tableAt, entrySize, count] = [
    Number(bytes.readBigUInt64LE(32)),
    bytes.readUInt16LE(54),
    bytes.readUInt16LE(56),
  ];
  const segments = Array.from({ length: count }, (_, index) => {
    const at = tableAt + index * entrySize;
    const offset = Number(bytes.readBigUInt64LE(at + 8));
    return {
      type: bytes.readUInt32LE(at),
      text: bytes.toString('latin1', offset, offset + Number(bytes.readBigUInt64LE(at + 32))),
    };
  });
  const interpreter = segments.find(({ type }) => type === PT_INTERP)?.text.replace(/\0.*/s, '');
  const isDynamic = segments.some(({ type }) => type === PT_DYNAMIC);
  const isProgram = interpreter !== undefined || !isDynamic || bytes.readUInt16LE(16) === 2;
  return {
    format: 'ELF',
    platform: 'linux',
    arch: ELF_MACHINES[machine] ?? `machine ${machine}`,
    kind: isProgram ? 'program' : 'library',
    needs: [...(interpreter === undefined ? [] : [interpreter]), ...newestGlibc(bytes)],
    signed: false,
  };
}

function newestGlibc(bytes: Buffer): readonly string[] {
  const versions = [...bytes.toString('latin1').matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  return versions.length === 0 ? [] : [`glibc 2.${Math.max(...versions)}`];
}

/** <mach-o/loader.h>, <mach/machine.h>. */
const MACH_MACHINES: Readonly<Record<number, string>> = { 16777223: 'x64', 16777228: 'arm64' };
const MH_EXECUTE = 2;
const LC_CODE_SIGNATURE = 0x1d;
const LC_LOAD_DYLIB = 0xc;
const LC_VERSION_MIN_MACOSX = 0x24;
const LC_BUILD_VERSION = 0x32;
const HEADER_BYTES = 32;

function inspectMachO(bytes: Buffer): BinaryFacts {
  const machine = bytes.readUInt32LE(4);
  const needs: string[] = [];
  let signed = false;
  let at = HEADER_BYTES;
  for (let left = bytes.readUInt32LE(16); left > 0; left--) {
    const command = bytes.readUInt32LE(at);
    if (command === LC_CODE_SIGNATURE) signed = true;
    if (command === LC_LOAD_DYLIB) needs.push(dylibName(bytes.subarray(at, at + bytes.readUInt32LE(at + 4))));
    if (command === LC_BUILD_VERSION) needs.push(`macOS ${version(bytes.readUInt32LE(at + 12))}`);
    if (command === LC_VERSION_MIN_MACOSX) needs.push(`macOS ${version(bytes.readUInt32LE(at + 8))}`);
    at += bytes.readUInt32LE(at + 4);
  }
  const kind = bytes.readUInt32LE(12) === MH_EXECUTE ? 'program' : 'library';
  return {
    format: 'Mach-O',
    platform: 'darwin',
    arch: MACH_MACHINES[machine] ?? `machine ${machine}`,
    kind,
    needs,
    signed,
  };
}

function dylibName(command: Buffer): string {
  return command.toString('latin1', command.readUInt32LE(8)).replace(/\0.*/s, '');
}

/** xxxx.yy.zz in nibbles. */
function version(packed: number): string {
  return `${packed >>> 16}.${(packed >>> 8) & 0xff}`;
}
