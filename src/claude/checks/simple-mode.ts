import { effectiveVariable } from '../effective.ts';
import type { Check } from '../finding.ts';
import { isOn } from '../variables.ts';
import { whereOf } from './places.ts';

/** The variable behind `--bare`. */
export const simpleMode: Check = ({ input }) => {
  const set = effectiveVariable(input, 'CLAUDE_CODE_SIMPLE');
  if (set === undefined || !isOn(set.value)) return [];
  return [
    {
      id: 'simple-mode',
      severity: 'warning',
      title: 'CLAUDE_CODE_SIMPLE is set: every claude runs as with --bare',
      cost: 'OAuth tokens, logins and every apiKeyHelper but one given with --settings are ignored',
      remedy: 'unset CLAUDE_CODE_SIMPLE',
      ...whereOf(set.place),
    },
  ];
};
