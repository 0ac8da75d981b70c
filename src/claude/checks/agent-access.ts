import type { Check } from '../finding.ts';

/** The agent's own shell can run the helper just as the client does. */
export const agentAccess: Check = ({ helper, input }) => {
  if (helper === undefined || !helper.ours) return [];
  const denied = input.settings.filter(({ state }) => state === 'in-effect').flatMap((settings) => settings.denied);
  if (denied.some((rule) => rule.startsWith('Bash(broker-key'))) return [];
  return [
    {
      id: 'agent-can-read-key',
      severity: 'info',
      title: 'the agent may run the helper itself',
      cost: 'a prompt injection can make it print the key into the conversation',
      remedy: 'add deny rules: broker claude install --deny-rules',
    },
  ];
};
