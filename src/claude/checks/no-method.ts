import type { Check } from '../finding.ts';

/** Nothing to log in with. */
export const noMethod: Check = ({ chain }) =>
  chain.outcomes.some(({ mode, winner }) => mode !== 'bare' && winner !== undefined)
    ? []
    : [
        {
          id: 'no-method',
          severity: 'error',
          title: 'Claude Code has nothing to log in with',
          cost: '"Not logged in · Please run /login"',
          remedy: 'set up the broker: broker setup',
        },
      ];
