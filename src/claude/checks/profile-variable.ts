import { effectiveVariable } from '../effective.ts';
import type { Check, Finding } from '../finding.ts';
import { fingerprint } from '../masking.ts';

const KEYS = new Set(['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN']);

/** A profile that will set a key in the next shell, or that keeps one in plain text. */
export const profileVariable: Check = ({ input, chain }) => {
  const hasHelper = chain.methods.some(({ id, present }) => id === 'helper' && present);
  const findings: Finding[] = [];
  for (const profile of input.profiles) {
    for (const { name, value, effect, line, lastLine, alone } of profile.assignments) {
      if (!KEYS.has(name) || effect === 'unset' || value === '') continue;
      const where = `${profile.file}:${line}`;
      const beatsHelper = hasHelper && name !== 'CLAUDE_CODE_OAUTH_TOKEN' && effect !== 'local';
      const inThisShell = effectiveVariable(input, name) !== undefined;
      // In this shell already: the variable has its own finding if it beats the helper.
      if (!beatsHelper && value === undefined) continue;
      const shown = value === undefined ? 'computed when the shell starts' : fingerprint(value);
      const fixable = alone && profile.syntax !== 'fish-universal';
      findings.push({
        id: beatsHelper && !inThisShell ? 'profile-overrides-helper' : 'profile-holds-key',
        severity: 'warning',
        title: `${where} sets ${name}, ${shown}`,
        cost: beatsHelper
          ? 'every new shell overrides apiKeyHelper with it, also long after the key is dead'
          : 'a key that never rotates lies in plain text in a file that is copied, synced and backed up',
        remedy:
          profile.syntax === 'fish-universal'
            ? `type in fish: set -Ue ${name}`
            : `remove line ${line} of ${profile.file}`,
        where,
        ...(fixable
          ? {
              fix: { kind: 'take-line-out', file: profile.file, line, lastLine, name, syntax: profile.syntax } as const,
            }
          : {}),
      });
    }
  }
  return findings;
};
