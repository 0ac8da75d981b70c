import type { Check } from '../finding.ts';
import { describeCommand } from '../show-command.ts';

/** A helper that is not the broker's: other tools write one without asking. */
export const foreignHelper: Check = ({ helper }) => {
  if (helper === undefined || helper.ours) return [];
  return [
    {
      id: 'foreign-helper',
      severity: 'info',
      title: `apiKeyHelper runs ${describeCommand(helper.command, false)}, which is not the broker's`,
      cost: 'keys come from there; tools have written such a line unasked (anthropics/claude-code issue 90236)',
      remedy: 'if you want the broker to answer: broker claude install --force',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};
