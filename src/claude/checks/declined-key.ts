import { effectiveVariable, keyAnswer } from '../effective.ts';
import type { Check } from '../finding.ts';
import { whereOf } from './places.ts';

/** The prompt's default answer is no, and it is remembered without a word (anthropics/claude-code issue 74858). */
export const declinedKey: Check = ({ input, chain }) => {
  const key = effectiveVariable(input, 'ANTHROPIC_API_KEY');
  const helper = chain.methods.some(({ id, present }) => id === 'helper' && present);
  if (key === undefined || helper || keyAnswer(input, key.value) !== 'declined') return [];
  return [
    {
      id: 'api-key-declined',
      severity: 'warning',
      title: 'ANTHROPIC_API_KEY was declined at the prompt once, and that is remembered',
      cost: 'claude -p uses the key and the terminal does not: it asks you to log in',
      remedy: 'turn the key on in /config, or remove it from customApiKeyResponses.rejected in .claude.json',
      ...whereOf(key.place),
    },
  ];
};
