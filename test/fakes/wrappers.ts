import type { ClientBench } from './client-bench.ts';

/** Scripts that users put around the helper. Each prints what the helper prints and fails as it fails. */
export const WRAPPERS: Readonly<Record<string, (helper: string) => string>> = {
  sh: (helper) => `#!/bin/sh\nkey=$(${helper}) || exit\nprintf '%s\\n' "$key"\n`,
  bash: (helper) => `#!/bin/bash\nset -euo pipefail\nfetch() { ${helper} | cat; }\nfetch\n`,
  python3: (helper) =>
    `#!/usr/bin/env python3\nimport subprocess, sys\nsys.exit(subprocess.run(["sh", "-c", """${helper}"""]).returncode)\n`,
  node: (helper) =>
    `#!/usr/bin/env node\nconst { spawnSync } = require('node:child_process');\n` +
    `const { status, stdout, stderr } = spawnSync('sh', ['-c', ${JSON.stringify(helper)}]);\n` +
    'process.stdout.write(stdout);\nprocess.stderr.write(stderr);\nprocess.exitCode = status;\n',
  // A limit for the helper: timeout(1) makes a process group of its own.
  timeout: (helper) => `#!/bin/sh\nexec timeout 9 ${helper}\n`,
  // The client's stdin delivers nothing and never ends, so a careful script gives the helper another.
  'null stdin': (helper) => `#!/bin/sh\nexec ${helper} < /dev/null\n`,
};

/** `apiKeyHelper` for the wrapper of this name. */
export function wrapped(bench: ClientBench, name: string): string {
  const wrapper = WRAPPERS[name];
  if (wrapper === undefined) throw new Error(`there is no wrapper named ${name}`);
  return bench.script(`wrapped-${name.replace(' ', '-')}`, wrapper(bench.helper));
}
