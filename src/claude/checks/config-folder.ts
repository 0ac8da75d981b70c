import type { Check } from '../finding.ts';

/** CLAUDE_CONFIG_DIR moved the user's settings away from where the helper was written. */
export const configFolder: Check = ({ orphanedSettings, helper }) => {
  if (orphanedSettings === undefined || helper !== undefined) return [];
  return [
    {
      id: 'config-dir-hides-helper',
      severity: 'warning',
      title: `CLAUDE_CONFIG_DIR leads elsewhere, and the apiKeyHelper in ${orphanedSettings} is not read`,
      cost: 'the helper that you installed is never called',
      remedy: 'install it there too: broker claude install',
      where: orphanedSettings,
    },
  ];
};
