/**
 * Runs the tests that need a real implementation of AWS's APIs against moto's server: sets it up under .cache/, starts
 * it on a free loopback port, runs `test/**\/*.moto.test.ts`, and stops it whatever happens. Arguments go to vitest.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..', '..');
const VENV = join(ROOT, '.cache', 'moto');
const STAMP = join(VENV, 'requirement.txt');
const REQUIREMENT = 'moto[server]==5.2.5';
const START_LIMIT_MS = 60_000;

await main();

async function main(): Promise<void> {
  await install();
  const moto = spawn(join(VENV, 'bin', 'moto_server'), ['-H', '127.0.0.1', '-p', '0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONUNBUFFERED: '1' },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => moto.kill());
  try {
    const url = await address(moto);
    process.exitCode = await run('npx', ['vitest', 'run', '--project', 'moto', ...process.argv.slice(2)], {
      BROKER_TEST_MOTO: url,
    });
  } finally {
    if (moto.exitCode === null && moto.signalCode === null) {
      moto.kill();
      await once(moto, 'exit');
    }
  }
}

/** A folder of its own, so that nothing of the system's Python is touched; made anew when the version above changes. */
async function install(): Promise<void> {
  if (existsSync(STAMP) && (await readFile(STAMP, 'utf8')) === REQUIREMENT) return;
  console.error(`installing ${REQUIREMENT} into .cache/moto …`);
  await rm(VENV, { recursive: true, force: true });
  await mkdir(VENV, { recursive: true });
  const made = await run('python3', ['-m', 'venv', VENV], {}).catch(() => 1);
  if (made !== 0) return fail('python3 cannot make a virtual environment', 'apt-get install python3 python3-venv');
  const pip = ['install', '--quiet', '--disable-pip-version-check', REQUIREMENT];
  const installed = await run(join(VENV, 'bin', 'pip'), pip, {});
  if (installed !== 0) return fail(`pip could not install ${REQUIREMENT}`, 'see its message above');
  await writeFile(STAMP, REQUIREMENT);
}

/** The server takes a port that is free and says which; then it answers. */
async function address(moto: ChildProcess): Promise<string> {
  if (moto.stderr === null || moto.stdout === null) throw new Error('the server has no output');
  moto.stdout.resume();
  const timer = setTimeout(() => moto.kill(), START_LIMIT_MS);
  try {
    for await (const line of createInterface(moto.stderr)) {
      const url = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (url === undefined) continue;
      moto.stderr.resume();
      const answer = await fetch(`${url}/moto-api/`);
      if (answer.ok) return url;
    }
  } finally {
    clearTimeout(timer);
  }
  return fail('moto_server did not start', `run ${join(VENV, 'bin', 'moto_server')} to see why`);
}

async function run(program: string, args: readonly string[], env: Record<string, string>): Promise<number> {
  const child = spawn(program, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } });
  const [status] = (await once(child, 'exit')) as [number | null];
  return status ?? 1;
}

function fail(message: string, remedy: string): never {
  console.error(`error: ${message}\nhint: ${remedy}`);
  process.exit(1);
}
