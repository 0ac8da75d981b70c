import type { Facts } from '../facts.ts';
import type { Check, Finding } from '../finding.ts';
import { RELEVANT_VARIABLES } from '../variables.ts';

/** An organization's settings come from one source, and not every source can be read from outside the client. */
export const managedSources: Check = (facts) => [...served(facts), ...computed(facts), ...outranked(facts)];

function served({ served: found }: Facts): Finding[] {
  if (found === undefined) return [];
  const { file, sets } = found;
  return [
    {
      id: 'server-managed-settings',
      severity: sets.length === 0 ? 'info' : 'warning',
      title: `your organization serves settings to Claude Code${sets.length === 0 ? '' : `, among them ${sets.join(', ')}`} (copy in ${file})`,
      cost: 'where the client accepts them they beat every settings file; they are signed for the client, so they are left out of what is said above',
      remedy: 'type /status in claude: "Setting sources" names what it took',
      where: file,
    },
  ];
}

function computed({ input }: Facts): Finding[] {
  return input.settings
    .filter(({ scope, state, policyHelper }) => scope === 'managed' && state === 'in-effect' && policyHelper)
    .map(({ file }) => ({
      id: 'policy-helper',
      severity: 'info',
      title: `${file} names a program (policyHelper) that prints the managed settings`,
      cost: 'what it prints beats every settings file, and is left out of what is said above: it was not run',
      remedy: 'type /status in claude: "Setting sources" names what it took',
      where: file,
    }));
}

function outranked({ input }: Facts): Finding[] {
  const strongest = input.settings.find(({ scope, state }) => scope === 'managed' && state === 'in-effect');
  return input.settings
    .filter(({ state }) => state === 'outranked')
    .map(({ file, helper, env }) => {
      const matters = helper !== undefined || [...env.keys()].some((name) => RELEVANT_VARIABLES.has(name));
      return {
        id: 'managed-outranked',
        severity: matters ? 'warning' : 'info',
        title: `${file} is not in effect: the managed settings in ${strongest?.file} come first`,
        cost: 'the client takes one source of managed settings, whole, and leaves out the others',
        remedy:
          'ask your administrator to put everything into one of them, or to set managedSourcesBehavior to "merge"',
        where: file,
      };
    });
}
