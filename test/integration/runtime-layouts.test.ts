import { copyFileSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { PROGRAM } from '../fakes/daemon-process.ts';
import { KEY, TemporaryHome } from '../fakes/temporary-home.ts';
import { expectKey, run } from '../native/run-helper.ts';

/** The real Node where each version manager puts it, and what it puts on PATH for it. */
const LAYOUTS = [
  { manager: 'nvm', runtime: '.nvm/versions/node/v24.1.0/bin/node' },
  { manager: 'asdf', runtime: '.asdf/installs/nodejs/24.1.0/bin/node' },
  { manager: 'volta', runtime: '.volta/tools/image/node/24.1.0/bin/node' },
  { manager: 'mise', runtime: '.local/share/mise/installs/node/24.1.0/bin/node' },
  // fnm and n start it by a link.
  {
    manager: 'fnm',
    runtime: '.local/share/fnm/node-versions/v24.1.0/installation/bin/node',
    link: '.local/state/fnm_multishells/1_2/bin/node',
  },
  { manager: 'n', runtime: 'n/n/versions/node/24.1.0/bin/node' },
];

let folder: string;
/** A copy, and links to it: a link to the Node that runs here would change its ctime, by which others tell whether it was upgraded. */
let copy: string;
beforeAll(() => {
  copy = path.join(mkdtempSync(path.join(tmpdir(), 'broker-node-')), 'node');
  copyFileSync(process.execPath, copy);
});
afterAll(() => rmSync(path.dirname(copy), { recursive: true, force: true }));
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-layouts-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function place(file: string): string {
  const made = path.join(folder, file);
  mkdirSync(path.dirname(made), { recursive: true });
  linkSync(copy, made);
  return made;
}

test.each(LAYOUTS)('a Node of $manager is warned of', async ({ manager, runtime, link }) => {
  await using home = new TemporaryHome();
  const node = place(runtime);
  if (link !== undefined) {
    mkdirSync(path.dirname(path.join(folder, link)), { recursive: true });
    symlinkSync(node, path.join(folder, link));
  }
  const started = link === undefined ? node : path.join(folder, link);
  const env = { ...home.env, PATH: `${path.dirname(started)}:/usr/bin:/bin` };
  const outcome = await run(started, [PROGRAM, 'service', 'install', '--dry-run', '--json'], env);
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
  const plan = JSON.parse(outcome.stdout);
  expect(plan.command[0]).toBe(node);
  expect(plan.warnings).toEqual([
    expect.stringContaining(`${node} belongs to one version that ${manager} will remove`),
  ]);
});

test('a copy of it goes on when the version is gone', async () => {
  await using home = new TemporaryHome();
  const node = place('.nvm/versions/node/v24.1.0/bin/node');
  const install = await run(node, [PROGRAM, 'service', 'install', '--copy-runtime', '--json'], home.env);
  expect(install, install.stderr).toMatchObject({ code: 0, stderr: '' });
  const { command, helper, warnings } = JSON.parse(install.stdout);
  expect(command[0]).toBe(path.join(home.state, 'runtime', 'node'));
  expect(warnings).toEqual([]);
  expect(await run(node, [PROGRAM, 'service', 'stop'], home.env)).toMatchObject({ code: 0 });
  expect(await run(node, [PROGRAM, 'service', 'start'], home.env)).toMatchObject({ code: 0 });
  rmSync(path.join(folder, '.nvm'), { recursive: true });
  // Killed, it is started again without anything of the version.
  process.kill(home.daemonPid ?? 0, 'SIGKILL');
  expectKey(await run(helper, [], home.env), KEY);
});
