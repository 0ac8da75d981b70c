import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stateDir } from '../../../src/config/paths.ts';
import { CompiledProgram, stateFolder } from '../../../src/platform/compiled.ts';

const uid = process.getuid?.() ?? 0;
const FIRST = 'module.exports = { answer: () => "first" };';
const OTHER = 'module.exports = { answer: () => "other" };';

let folder: string;
let state: string;
let dist: string;
let file: string;
const require = createRequire(import.meta.url);
const plain = require.extensions['.js'];

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-compiled-'));
  [state, dist] = [path.join(folder, 'state'), path.join(folder, 'dist')];
  mkdirSync(state, { mode: 0o700 });
  mkdirSync(dist);
  file = path.join(state, 'compiled');
  writeFileSync(path.join(dist, 'package.json'), '{"type":"commonjs"}');
  writeFileSync(path.join(dist, 'part.js'), FIRST);
  writeFileSync(path.join(dist, 'main.js'), 'exports.answer = () => require("./part.js").answer() + __dirname.length;');
});
afterEach(() => {
  require.extensions['.js'] = plain;
  rmSync(folder, { recursive: true });
});

/** As a process that starts. */
function start(): { readonly answer: string; readonly program: CompiledProgram } {
  for (const name of ['main.js', 'part.js']) delete require.cache[path.join(dist, name)];
  const program = new CompiledProgram(file, dist, uid);
  require.extensions['.js'] = plain;
  program.serve(require);
  const { answer } = require(path.join(dist, 'main.js')) as { answer: () => string };
  return { answer: answer(), program };
}

function keep(): void {
  const bytes = start().program.settle();
  if (bytes === undefined) throw new Error('there was nothing to keep');
  writeFileSync(file, bytes, { mode: 0o600 });
}

const expected = (word: string) => `${word}${dist.length}`;

it('answers as the program does, and the next start compiles nothing', () => {
  expect(start().answer).toBe(expected('first'));
  keep();
  const { answer, program } = start();
  expect(answer).toBe(expected('first'));
  expect(program.settle()).toBeUndefined();
});

it('goes by the sources, even if a changed one is as long as it was', () => {
  keep();
  writeFileSync(path.join(dist, 'part.js'), OTHER);
  const { answer, program } = start();
  expect(answer).toBe(expected('other'));
  expect(program.settle()).toBeInstanceOf(Uint8Array);
});

it('is settled once, and keeps nothing of what is loaded later', () => {
  const { program } = start();
  expect(program.settle()).toBeInstanceOf(Uint8Array);
  expect(program.settle()).toBeUndefined();
});

describe('is not used', () => {
  const expectUnused = () => {
    const { answer, program } = start();
    expect(answer).toBe(expected('first'));
    expect(program.settle()).toBeInstanceOf(Uint8Array);
  };

  it('if a single bit of it is another', () => {
    keep();
    const bytes = readFileSync(file);
    for (const at of [0, 31, 32, 40, Math.floor(bytes.length / 2), bytes.length - 1]) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      writeFileSync(file, damaged);
      expectUnused();
    }
  });

  it.each([0, 10, 32, 1_000])('if it was cut to %i bytes', (length) => {
    keep();
    writeFileSync(file, readFileSync(file).subarray(0, length));
    expectUnused();
  });

  it('if others may write or read it, or its folder', () => {
    keep();
    for (const [place, mode, own] of [
      [file, 0o620, 0o600],
      [file, 0o604, 0o600],
      [state, 0o770, 0o700],
    ] as const) {
      chmodSync(place, mode);
      expectUnused();
      chmodSync(place, own);
    }
    expect(start().program.settle()).toBeUndefined();
  });

  it('if it is a link, or its folder is one', () => {
    keep();
    const elsewhere = path.join(folder, 'elsewhere');
    renameSync(file, elsewhere);
    symlinkSync(elsewhere, file);
    expectUnused();
    rmSync(file);
    renameSync(elsewhere, file);
    renameSync(state, elsewhere);
    symlinkSync(elsewhere, state);
    expectUnused();
  });
});

it.each([
  [{ HOME: '/home/me' }],
  [{ HOME: '/home/me', XDG_STATE_HOME: '/var/state' }],
  [{ HOME: '/home/me', XDG_STATE_HOME: 'relative' }],
  [{ HOME: '/home/me', XDG_STATE_HOME: '/var/state', BROKER_STATE_DIR: '/own' }],
  [{ HOME: '/home/me', BROKER_STATE_DIR: '' }],
])('finds the state folder as everything else does: %j', (env) => {
  expect(stateFolder(env)).toBe(stateDir({ env, homeDir: env.HOME, uid, platform: 'linux' }));
});

it.each([[{}], [{ HOME: '' }], [{ HOME: '/home/me', BROKER_STATE_DIR: 'relative' }]])(
  'leaves it to the daemon to say what is wrong with %j',
  (env) => expect(stateFolder(env)).toBeUndefined(),
);
