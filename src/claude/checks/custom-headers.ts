import { customHeaders, effectiveVariable } from '../effective.ts';
import type { Check } from '../finding.ts';
import { whereOf } from './places.ts';

/** A header given by hand beats every method. */
export const customHeadersCheck: Check = ({ input }) => {
  const set = effectiveVariable(input, 'ANTHROPIC_CUSTOM_HEADERS');
  const names = [...customHeaders(input)].filter((name) => name === 'x-api-key' || name === 'authorization');
  if (set === undefined || names.length === 0) return [];
  return [
    {
      id: 'custom-headers',
      severity: 'error',
      title: `ANTHROPIC_CUSTOM_HEADERS sets ${names.join(' and ')}`,
      cost: 'it replaces what any method would send, also a fresh key, and never changes',
      remedy: `remove ${names.join(' and ')} from ANTHROPIC_CUSTOM_HEADERS`,
      ...whereOf(set.place),
    },
  ];
};
