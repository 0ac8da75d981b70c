import type { Check } from '../finding.ts';

/** What a login can do and a key cannot. */
export const remoteControl: Check = ({ chain, input }) => {
  const winner = chain.outcomes.find(({ mode }) => mode === 'interactive')?.winner;
  if (!input.login.present || (winner !== 'helper' && winner !== 'api-key')) return [];
  return [
    {
      id: 'remote-control-off',
      severity: 'info',
      title: 'Remote Control is off while a key logs in',
      cost: 'it needs the login that you have, and a key comes first (anthropics/claude-code issue 58127)',
      remedy: 'where you want Remote Control, start claude with a CLAUDE_CONFIG_DIR that sets no apiKeyHelper',
    },
  ];
};
