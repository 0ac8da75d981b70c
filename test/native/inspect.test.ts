import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { inspect } from '../../native/inspect.ts';
import { examine, isTooNew } from '../../native/prebuilds-report.ts';
import { hasUuid, signAdHoc, signatureFaults } from '../../native/signature.ts';
import { findZig } from '../../native/zig.ts';
import { helper } from './run-helper.ts';

const here = { platform: process.platform, arch: process.arch };

test.skipIf(helper === undefined || process.platform !== 'linux')(
  'the binaries of this machine are what they are',
  () => {
    expect(inspect(readFileSync(process.execPath))).toMatchObject({ ...here, format: 'ELF', kind: 'program' });
    expect(inspect(readFileSync(process.execPath)).needs).toEqual([
      expect.stringMatching(/^\/lib.*ld-linux/),
      expect.stringMatching(/^glibc 2\.\d+$/),
    ]);
    expect(inspect(readFileSync(helper ?? ''))).toMatchObject({ ...here, kind: 'program' });
    const addon = path.join(path.dirname(helper ?? ''), 'broker.node');
    if (existsSync(addon)) expect(inspect(readFileSync(addon))).toMatchObject({ ...here, kind: 'library' });
  },
);

/** <mach-o/loader.h>: a header and the load commands of a program for arm64 that needs macOS 12. */
function machO({ signed, file = 2 }: { signed: boolean; file?: number }): Buffer {
  const build = words(0x32, 24, 1, 12 << 16, 0, 0);
  const dylib = Buffer.concat([
    words(0xc, 48, 24, 0, 0, 0),
    Buffer.from('/usr/lib/libSystem.B.dylib'.padEnd(24, '\0').slice(0, 24)),
  ]);
  const signature = signed ? [words(0x1d, 16, 0, 0)] : [];
  const commands = [build, dylib, ...signature];
  const header = words(0xfeedfacf, 0x0100000c, 0, file, commands.length, 0, 0, 0);
  return Buffer.concat([header, ...commands, Buffer.alloc(8)]);
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4);
  return bytes;
}

test('a Mach-O says for what it is, what it needs, and whether it is signed', () => {
  expect(inspect(machO({ signed: true }))).toEqual({
    format: 'Mach-O',
    platform: 'darwin',
    arch: 'arm64',
    kind: 'program',
    needs: ['macOS 12.0', '/usr/lib/libSystem.B.dyl'],
    signed: true,
  });
  expect(inspect(machO({ signed: false, file: 6 }))).toMatchObject({ kind: 'library', signed: false });
});

test('what is not a binary is said not to be one', () => {
  expect(() => inspect(Buffer.from('#!/bin/sh\n'))).toThrow(/it begins with 23212f62/);
});

test('what would not run on its machine is a fault', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'broker-inspect-'));
  const file = path.join(folder, 'broker-key');
  writeFileSync(file, machO({ signed: false }));
  const { faults } = examine(file, { platform: 'darwin', arch: 'x64' }, false);
  rmSync(folder, { recursive: true });
  expect(faults).toEqual([
    'it is for darwin-arm64',
    expect.stringMatching(/^it is not version/),
    'it needs macOS 12.0, /usr/lib/libSystem.B.dyl',
    'it has no signature',
    'it has no LC_UUID',
  ]);
});

test.each([
  ['glibc 2.28', false],
  ['glibc 2.29', true],
  ['macOS 11.7', false],
  ['macOS 12.0', true],
  ['/usr/lib/libSystem.B.dylib', false],
])('%s is too new: %s', (need, expected) => {
  expect(isTooNew(need)).toBe(expected);
});

test('a ZIG that does not run is told, not passed over', () => {
  expect(() => findZig({ ZIG: '/nonexistent/zig' })).toThrow(/\/nonexistent\/zig version failed: [\s\S]*hint: set ZIG/);
});

/** A program of two segments and 9,000 bytes, with an LC_UUID and room for one more load command. */
function program(): Buffer {
  const named = (name: string) => [...Buffer.from(name.padEnd(16, '\0'))];
  const segmentCommand = (name: string, at: number, bytes: number) => {
    const command = words(0x19, 72, 0, 0, 0, 0, 0, 0, bytes, 0, at, 0, bytes, 0, 0, 0, 0, 0);
    command.set(named(name), 8);
    return command;
  };
  const commands = [
    segmentCommand('__TEXT', 0, 8_000),
    segmentCommand('__LINKEDIT', 8_000, 1_000),
    words(0x1b, 24, 1, 2, 3, 4),
  ];
  const size = commands.reduce((sum, each) => sum + each.length, 0);
  const head = Buffer.concat([words(0xfeedfacf, 0x01000007, 3, 2, commands.length, size, 0, 0), ...commands]);
  return Buffer.concat([head, Buffer.alloc(512), Buffer.alloc(9_000 - head.length - 512, 7)]);
}

test('a Mach-O is signed ad hoc: every page, once, the same bytes each time', () => {
  const signed = signAdHoc(program(), 'broker-key');
  expect(hasUuid(signed)).toBe(true);
  expect(inspect(signed).signed).toBe(true);
  expect(signatureFaults(signed)).toEqual([]);
  expect(signAdHoc(program(), 'broker-key')).toEqual(signed);
  expect(signAdHoc(signed, 'broker-key')).toBe(signed);
  signed.writeUInt8(8, 5_000);
  expect(signatureFaults(signed)).toEqual(['page 1 is not what was signed']);
  expect(signatureFaults(program())).toEqual(['it has no signature']);
});
