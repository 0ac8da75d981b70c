import type { Check } from '../finding.ts';

/** `--bare` reads less than the rest of the client. */
export const bareMode: Check = ({ chain, helper, homeDir }) => {
  const print = chain.outcomes.find(({ mode }) => mode === 'print');
  const bare = chain.outcomes.find(({ mode }) => mode === 'bare');
  if (print?.winner === undefined || bare?.winner === print.winner) return [];
  if (print.winner === 'oauth-token') {
    return [
      {
        id: 'oauth-token-bare',
        severity: 'warning',
        title: 'CLAUDE_CODE_OAUTH_TOKEN is what logs you in, and --bare ignores it',
        cost: 'claude --bare ends with "Not logged in"; the token is for inference only anyway',
        remedy: 'for --bare use a helper: broker claude install --settings FILE, then claude --bare --settings FILE',
      },
    ];
  }
  if (print.winner !== 'helper' || helper === undefined) return [];
  const file = `${homeDir}/.config/broker/bare.json`;
  return [
    {
      id: 'helper-ignored-by-bare',
      severity: 'info',
      title: 'claude --bare ignores this apiKeyHelper',
      cost: 'scripts and CI with --bare end with "Not logged in"',
      remedy: `give it a file of its own: broker claude install --settings ${file}, then start claude --bare --settings ${file}`,
    },
  ];
};
