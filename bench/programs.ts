import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { type Compiler, canCompile, findCompilers } from '../native/compilers.ts';

const SOURCES = path.join(import.meta.dirname, 'programs');

/** Where the measuring programs were compiled to. */
export interface Programs {
  readonly floor: string;
  readonly stopwatch: string;
  readonly load: string;
  readonly firstAnswer: string;
}

/** Compiles everything under programs/. @throws Error with the compiler's words. */
export function compilePrograms(folder: string): Programs {
  const compiler = findCompilers(process.env, process.platform).find((each) => canCompile(each, ['-static']));
  if (compiler === undefined) {
    throw new Error('the benchmarks need a C compiler that links statically; Debian: apt install gcc musl-tools');
  }
  const program = (name: string, flags: readonly string[] = [], as = name) =>
    compile(compiler, folder, name, flags, as);
  return {
    floor: program('floor', ['-nostdlib']),
    stopwatch: program('stopwatch'),
    // The broker takes its processes for what nearly all clients are.
    load: program('load', [], 'claude'),
    firstAnswer: program('first-answer'),
  };
}

export function bareServerScript(): string {
  return path.join(SOURCES, 'bare-server.mjs');
}

export function nodeClientScript(): string {
  return path.join(SOURCES, 'node-client.mjs');
}

function compile({ command }: Compiler, folder: string, name: string, extra: readonly string[], as: string): string {
  const [program = '', ...args] = command;
  const target = path.join(folder, as);
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-static', '-s', ...extra];
  const { status, stderr } = spawnSync(program, [...args, path.join(SOURCES, `${name}.c`), '-o', target, ...flags], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${name}.c does not compile: ${stderr}`);
  return target;
}

/** What a program printed. @throws Error if it fails: a figure that is not what it seems is worse than none. */
export function output(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      err += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${path.basename(command)} ended with ${code}: ${err.slice(-400)}`));
    });
  });
}
