import type { Check } from '../finding.ts';

const PLACEHOLDERS =
  /your[-_ ]?(anthropic[-_ ]?)?(api[-_ ]?)?key|\/path\/to\/|change[-_ ]?me|placeholder|<[a-z][a-z_ -]*>|\bx{4,}\b|sk-ant-(\.\.\.|…|x{3,})/i;

/** A line copied from an example. */
export const placeholderHelper: Check = ({ helper }) => {
  if (helper === undefined || helper.ours || !PLACEHOLDERS.test(helper.command)) return [];
  return [
    {
      id: 'placeholder-helper',
      severity: 'error',
      title: 'apiKeyHelper is an example that nobody filled in',
      cost: '"Invalid API key", although everything else is right: a helper beats a login',
      remedy: 'remove the line, or replace it: broker claude install --force',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};
