import type { Check } from '../finding.ts';

/** A helper that came with the repository. */
export const untrustedProject: Check = ({ helper, input }) => {
  if (helper === undefined || (helper.settings.scope !== 'project' && helper.settings.scope !== 'local')) return [];
  if (input.trusted === true) return [];
  return [
    {
      id: 'helper-untrusted-project',
      severity: 'warning',
      title: 'apiKeyHelper comes from the settings of this project, whose folder is not trusted',
      cost: "the terminal does not run it before you trust the folder, but claude -p runs it at once: it is somebody else's code with your environment",
      remedy: 'read the helper, then start claude here once and trust the folder, or remove the line',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};
