import type { Facts } from '../facts.ts';
import type { Check, Finding } from '../finding.ts';

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
