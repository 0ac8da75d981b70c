import type { Check, Finding } from '../finding.ts';

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
