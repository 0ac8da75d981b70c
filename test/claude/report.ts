import type { Handover } from './other-helpers.ts';
import type { Outcome } from './scenarios.ts';

export interface Measurements {
  readonly oneTurn: readonly Outcome[];
  readonly rotated: readonly Outcome[];
  readonly withSuccessor: readonly Outcome[];
  readonly withoutSuccessor: readonly Outcome[];
  readonly forbiddenModel: readonly Outcome[];
  readonly providerDown: readonly Outcome[];
  readonly restarted: readonly Outcome[];
  readonly plainRevoked: Outcome;
  readonly plainForbidden: Outcome;
  readonly deadSuccessor: Outcome;
  readonly downAndRevoked: Outcome;
  readonly edited: Outcome;
  readonly withoutEnvironment: readonly Outcome[];
  readonly revokedInARestart: readonly Outcome[];
  readonly rolledBack: readonly Outcome[];
  readonly subagents: Outcome;
  readonly deadSubagents: Outcome;
  readonly helpers: Readonly<Record<'telemetry' | 'mcp' | 'bedrock' | 'proxy', Handover>>;
}

export interface Circumstances {
  readonly client: string;
  readonly machine: string;
  readonly date: string;
  readonly runs: number;
}

/** docs/claude-client.md, whole. */
export function report(measured: Measurements, { client, machine, date, runs }: Circumstances): string {
  const words = /broker-key: (.*)/.exec(measured.withoutSuccessor[0]?.words ?? '')?.[1] ?? '';
  const plainWords = measured.plainRevoked.words.trim().split('\n')[0] ?? '';
  return `# With the real client, measured

Claude Code ${client}, ${date}, ${machine}.

Written by \`npm run bench:claude\`: the real client, daemon and helper, a development Vault and a mock of the Messages
API, together in a network namespace with only loopback. Seconds are from the first refused request of the turn to its
first good answer, or to the end of the turn: the median of ${runs} runs, or the only one of those over a minute.

| While a session goes on | a plain TTL cache as helper | broker |
|---|---|---|
| its key is revoked, a successor is in Vault | ${after([measured.plainRevoked])} | ${after(measured.withSuccessor)} |
| its key is revoked, Vault has nothing newer | the same | ${after(measured.withoutSuccessor)} |
| its key is not allowed to use the model | ${after([measured.plainForbidden])} | ${after(measured.forbiddenModel)} |
| its key is revoked, and the successor in Vault is revoked too | the same as a revoked key | ${after([measured.deadSuccessor])} |
| its key is revoked, and Vault is down | the same as a revoked key | ${after([measured.downAndRevoked])} |
| its key is revoked, and the helper is run with an empty environment (env -i) | the same | ${after(measured.withoutEnvironment)} |
| its key is revoked right after the daemon was killed and started again | | ${after(measured.revokedInARestart)} |
| its key is revoked while four subagents wait for answers (401s 1 to 7 s late), a successor is in Vault | | ${after([measured.subagents])} |
| the same, and Vault has nothing newer | | ${after([measured.deadSubagents])} |
| its settings are edited ten times in five minutes, the key stays good | | ${after([measured.edited])} |
| its key is rotated and rolled back, with an edit of its settings each time | | ${after(measured.rolledBack)} |
| its key is rotated, the old one stays valid for a while | | ${after(measured.rotated)} |
| the daemon is killed and started again between two turns | | ${after(measured.restarted)} |
| the provider is down, and another \`claude -p\` starts | | ${after(measured.providerDown)} |

The plain cache is a script that always prints the same key, as a cache does until its ttl ends; the client sends
${measured.plainRevoked.refused} requests with it. A whole \`claude -p\` with broker takes ${wholeSeconds(measured.oneTurn)} from start to end against the mock API, most
of it the client's own start, and calls the helper exactly once.

## The other helpers

Each has a credential of its own here. Its key is replaced in Vault and refused from then on, nobody tells the broker, and its
last confirmation is a moment old; for the proxy the session has been quiet for a minute. Seconds are from the first refused request to the first with the new key.

| setting | the client runs it again | the new key is used | helper calls until then |
|---|---|---|---|
| \`proxyAuthHelper\` | after each 407 | ${handover(measured.helpers.proxy)} |
| \`awsCredentialExport\` | once after ExpiredToken | ${handover(measured.helpers.bedrock)} |
| \`otelHeadersHelper\` | by its interval only, 1 s here | ${handover(measured.helpers.telemetry)} |
| an MCP server's \`headersHelper\` | once for each connection, here by one client after the other | ${handover(measured.helpers.mcp)} |

The last two say nothing of a refusal: the provider is asked when the last confirmation is 60 s old. After \`broker refresh\` they
have the new key at their next call.

## What the user sees

At the end of a turn that cannot succeed, with the plain cache:

> ${plainWords}

and with broker:

> ${words}

A successor that is revoked too looks like a rotation at first: it is refused twice, served once and refused again, so that no
request that was under way with the old key ends a good turn.

\`npm run test:claude\` checks the client against this table and against "Who is judged" in [rejection.md](rejection.md) in two
minutes. It uses no real key and no network but loopback; where a network namespace cannot be made it says so and skips.
`;
}

function handover({ ok, refused, afterRefusalMs, helperCalls }: Handover): string {
  if (!ok) return `never, ${refused} refused requests | ${helperCalls}`;
  if (refused === 0) return `at once | ${helperCalls}`;
  return `after **${inSeconds(afterRefusalMs)}**, ${refused} refused request${refused === 1 ? '' : 's'} | ${helperCalls}`;
}

function after(outcomes: readonly Outcome[]): string {
  const ok = outcomes.every((outcome) => outcome.ok);
  const refused = Math.max(...outcomes.map((outcome) => outcome.refused));
  if (refused === 0) return ok ? 'not noticed: no refused request' : 'the turn fails';
  const how = ok ? 'the turn succeeds after' : 'the turn fails after';
  return `${how} **${seconds(outcomes)}**, ${refused} refused request${refused === 1 ? '' : 's'}`;
}

function seconds(outcomes: readonly Outcome[]): string {
  return inSeconds(median(outcomes.map(({ afterRefusalMs = 0 }) => afterRefusalMs)));
}

function wholeSeconds(outcomes: readonly Outcome[]): string {
  return inSeconds(median(outcomes.map(({ ms }) => ms)));
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

function inSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 100_000 ? 1 : 0)} s`;
}
