import { effectiveVariable } from '../effective.ts';
import type { Check, Finding } from '../finding.ts';
import { keyKind, refusalOf } from '../key-kind.ts';
import { placeText, whereOf } from './places.ts';

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
