import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLAUDE_CODE } from '../../src/platform/known-clients.ts';
import { loadNative } from '../../src/platform/native.ts';
import { ProcessTree } from '../../src/platform/process-tree.ts';
import { shellWord } from '../fakes/processes.ts';

const native = loadNative();

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-identity-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Says its pid and waits until its stdin ends: a helper that holds still. */
const HOLDING_HELPER = 'echo $$; read _ || :';

/** Runs `/bin/sh -c COMMAND` under a Node process that is called `argv0`; the pids of both ends. */
async function runUnder(
  argv0: string,
  command: string,
): Promise<{ client: number; helper: number; end(): Promise<void> }> {
  const script = `require('node:child_process').spawn('/bin/sh', ['-c', process.argv[1]], { stdio: 'inherit' })`;
  const client = spawn(process.execPath, ['-e', script, command], { argv0, stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(client.stdout, 'data')) as [Buffer];
  return {
    client: client.pid ?? 0,
    helper: Number(line.toString()),
    async end() {
      client.stdin.end();
      await once(client, 'exit');
    },
  };
}

describe.skipIf(native === undefined)('a client seen through the kernel', () => {
  test.each([
    ['run directly', (helper: string) => `exec sh ${helper}`],
    ['through sh', (helper: string) => `sh ${helper}; true`],
    ['through sh, env, nice and sh', (helper: string) => `env A=b nice sh -c 'sh ${helper}; true'; true`],
    [
      'through node',
      (helper: string) =>
        `${shellWord(process.execPath)} -e 'require("node:child_process").spawnSync("sh", ["${helper}"], { stdio: "inherit" })'; true`,
    ],
  ])('a helper %s leads to Claude Code', async (_, command) => {
    const helper = path.join(folder, 'helper');
    writeFileSync(helper, HOLDING_HELPER);
    const running = await runUnder('claude', command(helper));
    const tree = new ProcessTree(native ?? { processParent: () => undefined, processInfo: () => undefined });

    const client = tree.clientOf(running.helper);

    const startTime = native?.processParent(running.client)?.startTime;
    expect(client).toEqual({
      id: `${running.client}:${startTime}`,
      pid: running.client,
      startTime,
      name: 'claude',
      known: CLAUDE_CODE,
    });
    expect(tree.clientOf(running.helper)).toEqual(client);
    await running.end();
  });
});
