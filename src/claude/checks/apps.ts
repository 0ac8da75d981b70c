import type { Check, Finding } from '../doctor/report.ts';

/** Programs beside the terminal client that do not ask the helper. */
export const otherApps: Check = ({ apps, helper }) => {
  if (helper === undefined) return [];
  const findings: Finding[] = [];
  if (apps.editor !== undefined) {
    findings.push({
      id: 'editor-ignores-helper',
      severity: 'info',
      title: 'the editor extension of Claude Code is installed',
      cost: 'it has ignored apiKeyHelper and made a Console key of its own (anthropics/claude-code issue 38314)',
      remedy: 'run claude in the terminal of the editor, or log the extension in by itself',
      where: apps.editor,
    });
  }
  if (apps.desktop !== undefined) {
    findings.push({
      id: 'desktop-ignores-helper',
      severity: 'info',
      title: 'Claude Desktop is installed',
      cost: 'Desktop and remote sessions log in with OAuth only; apiKeyHelper and all variables are nothing to them',
      remedy: 'log Desktop in by itself; no setting of the terminal client changes that',
      where: apps.desktop,
    });
  }
  return findings;
};

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
