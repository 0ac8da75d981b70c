import type { Check } from '../finding.ts';

const SHOWN = 5;

/** What the environment contributes is the daemon's; whoever tries a path in a shell with other variables is misled. */
export const configDifferences: Check = ({ broker }) => {
  const keys = broker.differing ?? [];
  if (keys.length === 0) return [];
  const rest = keys.length > SHOWN ? ` and ${keys.length - SHOWN} more` : '';
  return [
    {
      id: 'config-differs',
      severity: 'warning',
      title: `the daemon's environment and this shell's disagree about ${keys.slice(0, SHOWN).join(', ')}${rest}`,
      cost: 'what works in this shell (vault read, aws …) may ask another server or account than the daemon does',
      remedy: 'see both values: broker config show; then write the right one into the configuration file',
    },
  ];
};
