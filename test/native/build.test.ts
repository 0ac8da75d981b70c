import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { build as buildBinary } from '../../native/artefact.ts';
import { helperFor } from '../../native/binaries.ts';
import { findCompilers } from '../../native/compilers.ts';
import { helper, run } from './run-helper.ts';

const BUILD = path.resolve(import.meta.dirname, '..', '..', 'native', 'build.ts');

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-build-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function build(env: Record<string, string>) {
  return await run(process.execPath, [BUILD], env);
}

describe('the native build', () => {
  test('without a compiler says what that means, and succeeds', async () => {
    const outcome = await build({ PATH: folder });
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/no C compiler was found.*`broker get` does the same job more slowly/);
  });

  test('with a compiler that can make nothing says so, and succeeds', async () => {
    const compiler = path.join(folder, 'cc');
    writeFileSync(compiler, '#!/bin/sh\n[ "$1" = --version ] && echo "no libc here"\n');
    chmodSync(compiler, 0o755);

    const outcome = await build({ CC: compiler, PATH: process.env['PATH'] ?? '' });

    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/lacks the C library/);
  });

  test.skipIf(helper === undefined)('has one line for each binary, and nothing to do the second time', async () => {
    const { PATH = '', CC = '' } = process.env;
    const outcome = await build(CC === '' ? { PATH } : { PATH, CC });
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(
      /^(?:prebuilds\/\S+\/broker-(?:key|run): [a-z, ]+, \d+\.\d KiB, up to date\n){2}prebuilds\/\S+\/broker\.node: shared, \d+\.\d KiB, up to date\n$/,
    );
  });

  test.skipIf(helper === undefined)('makes the same bytes from the same sources, wherever they are put', () => {
    const made = ['one', 'another'].map((name) => {
      const artefact = helperFor(
        { platform: process.platform, arch: process.arch },
        findCompilers(process.env, process.platform),
        () => undefined,
      );
      const [target, stamp] = [path.join(folder, name, 'broker-key'), path.join(folder, name, 'stamp')];
      buildBinary({ ...artefact, target, stamp });
      return readFileSync(target);
    });
    expect(made[0]?.equals(made[1] ?? Buffer.alloc(0))).toBe(true);
  });
});
