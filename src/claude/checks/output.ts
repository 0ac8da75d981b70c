import type { Facts } from '../doctor/gather.ts';
import { type HelperFacts, type HelperRun, hasWindowsLines, missingInterpreter } from '../doctor/helper.ts';
import { formatOf } from '../shell/helper-command.ts';
import { brokerChecks } from './broker.ts';
import { type Check, check, findingsOf } from './check.ts';

/** The client calls the helper before a request when a JWT has less left. */
const JWT_LAST_MS = 30_000;
/** A cached key takes a few milliseconds; the user feels this much at every start. */
const SLOW_MS = 1000;
/** From here the client shows "apiKeyHelper is taking a while". */
const WARNED_MS = 10_000;

const PRINT_BARE_KEY = 'print the bare key on one line and nothing else; messages belong on stderr';

/** What happened when the helper was run as the client runs it, and what it printed. */
export const outputChecks: readonly Check[] = [
  check({
    id: 'helper-not-run',
    severity: 'info',
    when: ({ helper, run }) => run === undefined && helper?.found && !helper.mayRun && helper,
    title: 'apiKeyHelper was not tried',
    cost: "it comes from settings of a project or a file that others can write: it is somebody else's code",
    remedy: 'read it, then run: broker doctor --run-helper',
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-hangs',
    severity: 'error',
    when: (facts) => ran(facts, ({ outcome }) => outcome === 'hung'),
    title: ({ run }) => `apiKeyHelper did not end within ${Math.round(run.ms / 1000)} s`,
    cost: 'the client waits for the end of its output, up to ten minutes; a background process that keeps the output open is enough',
    remedy: 'let it not read standard input, and give what it leaves running >/dev/null 2>&1 </dev/null',
    where: ({ helper }) => helper.where,
  }),
  check({
    id: 'helper-fails',
    severity: 'error',
    when: (facts) =>
      // Where the broker itself knows what is wrong, its own finding says it.
      !findingsOf(brokerChecks, facts).some(({ severity }) => severity === 'error') &&
      !(facts.helper !== undefined && hasWindowsLines(facts.helper)) &&
      !(facts.helper !== undefined && missingInterpreter(facts.input, facts.helper)) &&
      ran(facts, (run) => run.outcome !== 'hung' && !succeeded(run)),
    title: ({ run: { outcome, exitCode, message } }) => {
      const how = outcome === 'not started' ? 'could not be started' : `failed with exit code ${exitCode}`;
      return `apiKeyHelper ${how}${message === undefined ? '' : ` (${message})`}`;
    },
    cost: 'at the start the client gives up after three tries; after a 401 it sends an empty key and remembers the failure',
    remedy: ({ helper, run }) => (helper.ours ? 'see what is wrong: broker status' : remedyFor(run.exitCode)),
    where: ({ helper }) => helper.where,
  }),
  check({
    id: 'helper-output-refused',
    severity: 'error',
    when: (facts) => ran(facts, (run) => succeeded(run) && run.refusal !== undefined),
    title: ({ run }) => `the client refuses what apiKeyHelper prints: ${run.refusal}`,
    cost: 'no request is ever made with it',
    remedy: PRINT_BARE_KEY,
    where: ({ helper }) => helper.where,
  }),
  check({
    id: 'helper-slow',
    severity: 'warning',
    when: (facts) => ran(facts, (run) => succeeded(run) && run.refusal === undefined && run.ms >= SLOW_MS),
    title: ({ run }) => `apiKeyHelper took ${(run.ms / 1000).toFixed(1)} s`,
    cost: ({ run }) =>
      run.ms >= WARNED_MS
        ? 'every start waits that long, and the client warns that the helper is taking a while'
        : 'every start of the client and every retry after a 401 waits that long',
    remedy: ({ helper }) =>
      helper.ours ? 'see what the daemon waits for: broker status' : 'let the broker keep the key ready: broker setup',
    where: ({ helper }) => helper.where,
  }),
  check({
    id: 'helper-prints-json',
    severity: 'error',
    when: ({ helper, run }) => helper !== undefined && (run?.kind === 'json' || asksForJson(helper)) && helper,
    title: 'apiKeyHelper prints JSON',
    cost: 'the client takes it for the key, braces and all, and every request is answered with 401',
    remedy: ({ ours }) => (ours ? 'write the line again, without --format: broker claude install' : PRINT_BARE_KEY),
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-prints-no-key',
    severity: 'error',
    when: (facts) => ran(facts, (run) => succeeded(run) && run.kind !== 'json' && run.mistaken !== undefined),
    title: ({ run }) => `what apiKeyHelper prints is not a key: ${run.mistaken}`,
    cost: 'the client takes it for the key, and every request is answered with 401',
    remedy: PRINT_BARE_KEY,
    where: ({ helper }) => helper.where,
  }),
  check({
    id: 'helper-gives-dying-token',
    when: ({ helper, run }) => {
      const leftMs = run?.expiresInMs;
      return helper !== undefined && leftMs !== undefined && leftMs < JWT_LAST_MS && { helper, leftMs };
    },
    severity: ({ leftMs }) => (leftMs <= 0 ? 'error' : 'warning'),
    title: ({ leftMs }) =>
      `apiKeyHelper gives a token that ${leftMs <= 0 ? `expired ${describe(-leftMs)} ago` : `expires in ${describe(leftMs)}`}`,
    cost: ({ leftMs }) =>
      leftMs <= 0
        ? 'every request is answered with 401'
        : 'the client runs the helper before every request, and what takes longer than the token lives fails',
    remedy: ({ helper }) =>
      helper.ours
        ? 'see what the broker has, and when it renews it: broker status'
        : 'let the helper renew the token earlier, or let the broker do it: broker setup',
    where: ({ helper }) => helper.where,
  }),
  check({
    id: 'helper-gives-oauth-token',
    severity: 'error',
    when: (facts) => ran(facts, ({ kind }) => kind === 'oauth-token'),
    title: 'apiKeyHelper gives an OAuth token (sk-ant-oat…), not an API key',
    cost: 'the client sends it as x-api-key and without what the API wants beside an OAuth token: 401',
    remedy:
      'to use the token: put it into CLAUDE_CODE_OAUTH_TOKEN, and broker claude uninstall; to use the helper: let it read an API key (sk-ant-api…)',
    where: ({ helper }) => helper.where,
  }),
  check({
    id: 'helper-gives-admin-key',
    severity: 'error',
    when: (facts) => ran(facts, ({ kind }) => kind === 'admin-key'),
    title: 'apiKeyHelper gives an Admin API key',
    cost: 'the Messages API answers 401 to it, and it can manage your whole organization',
    remedy: 'put an API key where the helper reads',
    where: ({ helper }) => helper.where,
  }),
];

/** The helper with its run if it was run and ended so. */
function ran({ helper, run }: Facts, is: (run: HelperRun) => boolean) {
  return helper !== undefined && run !== undefined && is(run) && { helper, run };
}

function succeeded({ outcome, exitCode = 0 }: HelperRun): boolean {
  return outcome === 'ended' && exitCode === 0;
}

/** sh ends with 127 for a program that it does not find and with 126 for one that it may not run (POSIX, 2.8.2). */
function remedyFor(exitCode: number | undefined): string {
  if (exitCode === 127) return 'a program that the helper calls is not there: install it, or write its absolute path';
  if (exitCode === 126) return 'a program that the helper calls may not be run: type chmod u+x with its path';
  return 'run the helper in a terminal and fix what it complains about';
}

function asksForJson({ ours, command }: HelperFacts): boolean {
  return ours && formatOf(command) !== undefined;
}

function describe(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
