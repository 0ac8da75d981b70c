import { DEFAULT_CLIENT_INTERVAL_MS } from '../../protocol/headers.ts';
import { effectiveVariable } from '../effective.ts';
import type { Facts } from '../facts.ts';
import type { Check, Finding } from '../finding.ts';
import { TTL_VARIABLE } from '../variables.ts';
import { placeText, whereOf } from './places.ts';

/** Below it, an answer is asked for on nearly every request. */
const SHORT_MS = 10_000;
/** Longer than a client is left alone over a working day. */
const LONG_PAUSE_MS = 12 * 3_600_000;

/** How long the client keeps a key, against nonsense and against the life of the key. */
export const refreshInterval: Check = (facts) => {
  if (facts.helper === undefined) return [];
  const set = effectiveVariable(facts.input, TTL_VARIABLE);
  const value = set === undefined ? DEFAULT_CLIENT_INTERVAL_MS : Number(set.value.trim());
  const sane = set === undefined || /^\d+$/.test(set.value.trim());
  const findings: Finding[] = [];
  const fix =
    set?.place.kind === 'settings' && set.place.file !== undefined
      ? { fix: { kind: 'remove-setting', file: set.place.file, path: ['env', TTL_VARIABLE] } as const }
      : {};
  if (!sane) {
    findings.push({
      id: 'ttl-nonsense',
      severity: 'warning',
      title: `${TTL_VARIABLE} in ${placeText(set?.place)} is no whole number of milliseconds`,
      cost: `the client takes it for the default of ${DEFAULT_CLIENT_INTERVAL_MS} ms without a word`,
      remedy: 'write milliseconds (300000 for five minutes), or remove it',
      ...whereOf(set?.place),
      ...fix,
    });
  } else if (value < SHORT_MS) {
    findings.push({
      id: 'ttl-too-short',
      severity: 'warning',
      title: `${TTL_VARIABLE} in ${placeText(set?.place)} is ${value} ms`,
      cost: 'the helper runs behind nearly every request, and each request still carries the key before the newest',
      remedy: 'remove it: the default of five minutes is right for short-lived keys',
      ...whereOf(set?.place),
      ...fix,
    });
  }
  findings.push(...againstLife(facts, sane ? value : DEFAULT_CLIENT_INTERVAL_MS));
  return findings;
};

function againstLife(facts: Facts, interval: number): Finding[] {
  const credential = facts.broker.status?.credentials.find(({ name, isDefault }) =>
    facts.helper?.credential === undefined ? isDefault : name === facts.helper.credential,
  );
  if (!facts.helper?.ours || !credential?.expiresAt || !credential.issuedAt) return [];
  // A JWT says by itself when it is over, and the client asks for another one in time.
  if (credential.expirySource === 'jwt') return [];
  const life = Date.parse(credential.expiresAt) - Date.parse(credential.issuedAt);
  if (!(life > 0)) return [];
  const where = `${facts.helper.settings.file}:${facts.helper.line}`;
  if (interval < life) {
    if (life > LONG_PAUSE_MS) return [];
    return [
      {
        id: 'key-dies-in-a-pause',
        severity: 'info',
        title: `a key of "${credential.name}" lives ${describe(life)}, and the client asks for another one only when it works`,
        cost: 'after a longer pause the first request is answered with 401 and repeated with a fresh key: about a second',
        remedy: 'nothing has to be done; keys that live longer than your breaks avoid it',
        where,
      },
    ];
  }
  const advised = Math.max(SHORT_MS, Math.floor(life / 2 / 1000) * 1000);
  return [
    {
      id: 'ttl-exceeds-key-life',
      severity: 'error',
      title: `the client keeps a key for ${interval / 1000} s, and a key of "${credential.name}" lives ${Math.round(life / 1000)} s`,
      cost: 'the client sends dead keys: a 401 and a second or more of waiting, over and over',
      remedy: `type: broker claude install --ttl ${advised / 1000}s`,
      where,
    },
  ];
}

function describe(lifeMs: number): string {
  const minutes = Math.round(lifeMs / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
