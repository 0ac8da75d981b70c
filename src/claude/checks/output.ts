import type { Facts } from '../doctor/gather.ts';
import { keyKind, refusalOf } from '../doctor/helper.ts';
import type { Check, Finding } from '../doctor/report.ts';
import { effectiveVariable } from '../settings/effective.ts';
import { brokerState, placeText, whereOf } from './broker.ts';

/** The client calls the helper before a request when a JWT has less left. */
const JWT_LAST_MS = 30_000;

/** What the helper printed is one word of ASCII, but no key that the API could take. */
export const helperOutput: Check = (facts) => [...json(facts), ...token(facts), ...adminKey(facts)];

function json({ helper, run }: Facts): Finding[] {
  if (helper === undefined || (run?.kind !== 'json' && !asksForJson(helper))) return [];
  return [
    {
      id: 'helper-prints-json',
      severity: 'error',
      title: 'apiKeyHelper prints JSON',
      cost: 'the client takes it for the key, braces and all, and every request is answered with 401',
      remedy: helper.ours
        ? 'write the line anew, without --format: broker claude install'
        : 'print the bare key on one line and nothing else',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
}

function asksForJson({ ours, words }: NonNullable<Facts['helper']>): boolean {
  const text = words.join(' ');
  return ours && /(^| )--format[ =]/.test(text) && !/(^| )--format[ =]raw( |$)/.test(text);
}

function token({ helper, run }: Facts): Finding[] {
  const leftMs = run?.expiresInMs;
  if (helper === undefined || leftMs === undefined || leftMs >= JWT_LAST_MS) return [];
  return [
    {
      id: 'helper-gives-dying-token',
      severity: leftMs <= 0 ? 'error' : 'warning',
      title:
        leftMs <= 0
          ? `apiKeyHelper gives a token that expired ${describe(-leftMs)} ago`
          : `apiKeyHelper gives a token that expires in ${describe(leftMs)}`,
      cost:
        leftMs <= 0
          ? 'every request is answered with 401'
          : 'the client runs the helper before every request, and what takes longer than the token lives fails',
      remedy: helper.ours
        ? 'see what the broker has, and when it renews it: broker status'
        : 'let the helper renew the token before it is nearly over, or let the broker do it: broker setup',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
}

function adminKey({ helper, run }: Facts): Finding[] {
  if (helper === undefined || run?.kind !== 'admin-key') return [];
  return [
    {
      id: 'helper-gives-admin-key',
      severity: 'error',
      title: 'apiKeyHelper gives an Admin API key',
      cost: 'the Messages API answers 401 to it, and it can manage your whole organization',
      remedy: 'put an API key where the helper reads',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
}

function describe(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds >= 172_800) return `${Math.round(seconds / 86_400)} days`;
  return seconds < 120
    ? `${seconds} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${Math.round(seconds / 3600)} h`;
}

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

const READS = [
  /^\s*(?:IFS=\S*\s+)?read\b(?![^\n]*<)/m,
  /\$\(\s*cat\s*\)/,
  /\/dev\/stdin/,
  /\bsys\.stdin\b|^\s*\w+\s*=\s*input\(/m,
  /\bprocess\.stdin\b|readFileSync\(0\b/,
];

/** The client leaves stdin open and never writes to it. */
export const helperStdin: Check = ({ helper }) => {
  if (helper === undefined || helper.ours) return [];
  const lonelyCat = helper.words.length === 1 && helper.words[0] === 'cat';
  const text = `${helper.command}\n${helper.script ?? ''}`;
  if (!lonelyCat && !READS.some((pattern) => pattern.test(text))) return [];
  return [
    {
      id: 'helper-reads-stdin',
      severity: 'warning',
      title: 'apiKeyHelper seems to read its standard input',
      cost: 'nothing ever comes and it never ends: the helper hangs until the client gives up after ten minutes',
      remedy: 'let it read from /dev/null: put </dev/null behind the command',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};

const EXPECTED = {
  ANTHROPIC_API_KEY: { wrong: new Set(['oauth-token', 'admin-key']), right: 'an API key (sk-ant-api…)' },
  ANTHROPIC_AUTH_TOKEN: { wrong: new Set(['admin-key']), right: 'a bearer token' },
  CLAUDE_CODE_OAUTH_TOKEN: {
    wrong: new Set(['api-key', 'admin-key']),
    right: 'a token of claude setup-token (sk-ant-oat…)',
  },
} as const;

/** A credential in the wrong variable, or damaged on its way there. */
export const keyShape: Check = ({ input }) => {
  const findings: Finding[] = [];
  for (const [name, { wrong, right }] of Object.entries(EXPECTED)) {
    const set = effectiveVariable(input, name);
    if (set === undefined) continue;
    const kind = keyKind(set.value);
    const damage = /^Bearer\s/i.test(set.value)
      ? 'starts with "Bearer "'
      : quoted(set.value)
        ? 'holds its quotes'
        : refusalOf(set.value);
    if (damage !== undefined) {
      findings.push({
        id: 'key-damaged',
        severity: 'error',
        title: `the value of ${name} in ${placeText(set.place)} is damaged: ${damage}`,
        cost: 'every request with it is answered with 401, or is never made',
        remedy: 'copy the key again, bare and on one line',
        ...whereOf(set.place),
      });
    } else if ((wrong as ReadonlySet<string>).has(kind)) {
      findings.push({
        id: 'key-in-wrong-variable',
        severity: 'error',
        title: `${name} in ${placeText(set.place)} holds ${WORDS[kind]}`,
        cost: `the API answers 401: this variable takes ${right}`,
        remedy:
          kind === 'admin-key'
            ? 'make an API key in the Console and use that'
            : `put it into ${kind === 'api-key' ? 'ANTHROPIC_API_KEY' : 'CLAUDE_CODE_OAUTH_TOKEN'}`,
        ...whereOf(set.place),
      });
    }
  }
  return findings;
};

const WORDS: Record<string, string> = {
  'oauth-token': 'an OAuth token (sk-ant-oat…)',
  'admin-key': 'an Admin API key (sk-ant-admin…)',
  'api-key': 'an API key (sk-ant-api…)',
};

function quoted(value: string): boolean {
  return /^(["']).*\1$/.test(value.trim());
}
