import { effectiveVariable, type Place } from '../effective.ts';
import type { Check, Finding } from '../finding.ts';
import { placeText, whereOf } from './places.ts';

const COST = {
  ANTHROPIC_API_KEY:
    'with -p, and in the terminal once accepted, the fixed key goes out as x-api-key while the fresh one only goes out as Authorization: when the fixed key dies, no renewal helps',
  ANTHROPIC_AUTH_TOKEN:
    'the fixed token goes out as Authorization beside the fresh key, and after a 401 the helper is not asked again',
} as const;

/** A variable that beats the helper without a word: the most common reason for a helper that "does not work". */
export const overridingVariable: Check = ({ input, chain }) => {
  if (!chain.methods.some(({ id, present }) => id === 'helper' && present)) return [];
  const findings: Finding[] = [];
  for (const name of ['ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_API_KEY'] as const) {
    const set = effectiveVariable(input, name);
    if (set === undefined) continue;
    const inSettings = set.place.kind === 'settings' && set.place.file !== undefined;
    findings.push({
      id: 'variable-overrides-helper',
      severity: 'error',
      title: `${name} is set in ${placeText(set.place)} and overrides apiKeyHelper`,
      cost: COST[name],
      remedy: remedyFor(name, set.place),
      ...whereOf(set.place),
      ...(inSettings && set.place.file !== undefined
        ? { fix: { kind: 'remove-setting', file: set.place.file, path: ['env', name] } as const }
        : {}),
    });
  }
  return findings;
};

function remedyFor(name: string, place: Place): string {
  if (place.file === undefined) {
    return `type: unset ${name}; no profile that was read sets it, so look at what started this shell (an editor, direnv, a secret manager)`;
  }
  if (place.kind === 'settings') return `remove env.${name} from ${placeText(place)}`;
  return `remove it from ${placeText(place)} and type: unset ${name}`;
}
