import type { Check } from '../finding.ts';
import { brokerState } from './broker-state.ts';

/** A cached key takes a few milliseconds; the user feels this much at every start. */
const SLOW_MS = 1000;
/** From here the client shows "apiKeyHelper is taking a while". */
const WARNED_MS = 10_000;

/** What happened when the helper was run as the client runs it. */
export const helperBehaviour: Check = (facts) => {
  const { helper, run } = facts;
  if (helper === undefined) return [];
  const where = `${helper.settings.file}:${helper.line}`;
  if (run === undefined) {
    if (helper.mayRun || !helper.found) return [];
    return [
      {
        id: 'helper-not-run',
        severity: 'info',
        title: 'apiKeyHelper was not tried',
        cost: "it comes from settings of a project or a file that others can write: it is somebody else's code",
        remedy: 'read it, then run: broker doctor --run-helper',
        where,
      },
    ];
  }
  const said = run.message === undefined ? '' : ` (${run.message})`;
  if (run.outcome === 'hung') {
    return [
      {
        id: 'helper-hangs',
        severity: 'error',
        title: `apiKeyHelper did not end within ${Math.round(run.ms / 1000)} s`,
        cost: 'the client waits for the end of its output, up to ten minutes; a background process that keeps the output open is enough',
        remedy: 'let it not read standard input, and give what it leaves running >/dev/null 2>&1 </dev/null',
        where,
      },
    ];
  }
  if (run.outcome === 'not started' || (run.exitCode ?? 0) !== 0) {
    // Where the broker itself knows what is wrong, its own finding says it.
    if (brokerState(facts).some(({ severity }) => severity === 'error')) return [];
    const how = run.outcome === 'not started' ? 'could not be started' : `failed with exit code ${run.exitCode}`;
    return [
      {
        id: 'helper-fails',
        severity: 'error',
        title: `apiKeyHelper ${how}${said}`,
        cost: 'at the start the client gives up after three tries; after a 401 it sends an empty key and remembers the failure',
        remedy: helper.ours ? 'see what is wrong: broker status' : remedyFor(run.exitCode),
        where,
      },
    ];
  }
  if (run.refusal !== undefined) {
    return [
      {
        id: 'helper-output-refused',
        severity: 'error',
        title: `the client refuses what apiKeyHelper prints: ${run.refusal}`,
        cost: 'no request is ever made with it',
        remedy: 'print the bare key on one line and nothing else; messages belong on stderr',
        where,
      },
    ];
  }
  if (run.ms < SLOW_MS) return [];
  return [
    {
      id: 'helper-slow',
      severity: 'warning',
      title: `apiKeyHelper took ${(run.ms / 1000).toFixed(1)} s`,
      cost:
        run.ms >= WARNED_MS
          ? 'every start waits that long, and the client warns that the helper is taking a while'
          : 'every start of the client and every retry after a 401 waits that long',
      remedy: helper.ours
        ? 'see what the daemon waits for: broker status'
        : 'let the broker keep the key ready: broker setup',
      where,
    },
  ];
};

/** sh ends with 127 for a program that it does not find and with 126 for one that it may not run (POSIX, 2.8.2). */
function remedyFor(exitCode: number | undefined): string {
  if (exitCode === 127) return 'a program that the helper calls is not there: install it, or write its absolute path';
  if (exitCode === 126) return 'a program that the helper calls may not be run: type chmod u+x with its path';
  return 'run the helper in a terminal and mend what it complains about';
}
