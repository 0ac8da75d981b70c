import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientBench } from './client-bench.ts';

interface Wrapper {
  /** The program that it needs. */
  readonly program: string;
  /** @param helper as /bin/sh takes it. */
  readonly script: (helper: string) => string;
}

/** Scripts that users put around the helper. Each prints what the helper prints and fails as it fails. */
const WRAPPERS: Readonly<Record<string, Wrapper>> = {
  sh: { program: 'sh', script: (helper) => `#!/bin/sh\nkey=$(${helper}) || exit\nprintf '%s\\n' "$key"\n` },
  bash: {
    program: 'bash',
    script: (helper) => `#!/bin/bash\nset -euo pipefail\nfetch() { ${helper} | cat; }\nfetch\n`,
  },
  python3: {
    program: 'python3',
    script: (helper) => `#!/usr/bin/env python3
import subprocess, sys
sys.exit(subprocess.run(["sh", "-c", ${JSON.stringify(helper)}]).returncode)
`,
  },
  node: {
    program: 'node',
    script: (helper) => `#!/usr/bin/env node
const { status, stdout, stderr } = require('node:child_process').spawnSync('sh', ['-c', ${JSON.stringify(helper)}]);
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = status;
`,
  },
  // timeout(1) makes a process group of its own.
  timeout: { program: 'timeout', script: (helper) => `#!/bin/sh\nexec timeout 9 ${helper}\n` },
  // The client's stdin delivers nothing and never ends, so a careful script gives the helper another.
  'null stdin': { program: 'sh', script: (helper) => `#!/bin/sh\nexec ${helper} < /dev/null\n` },
};

export const WRAPPER_NAMES = Object.keys(WRAPPERS);

/** Whether this machine has the program that the wrapper needs. */
export function canWrap(name: string): boolean {
  return hasProgram(named(name).program);
}

export function hasProgram(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(':');
  return folders.some((folder) => existsSync(join(folder, program)));
}

/** @param helper as /bin/sh takes it. */
export function wrapperScript(name: string, helper: string): string {
  return named(name).script(helper);
}

/** `apiKeyHelper` for the wrapper of this name. */
export function wrapped(bench: ClientBench, name: string): string {
  return bench.script(`wrapped-${name.replace(' ', '-')}`, named(name).script(bench.helper));
}

function named(name: string): Wrapper {
  const wrapper = WRAPPERS[name];
  if (wrapper === undefined) throw new Error(`there is no wrapper named ${name}`);
  return wrapper;
}
