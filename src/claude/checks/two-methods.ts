import type { Check } from '../finding.ts';
import { placeText } from './places.ts';

/** More than one way to log in; those that have a check of their own are left to it. */
export const twoMethods: Check = ({ chain }) => {
  const present = chain.methods.filter((method) => method.present);
  const winner = chain.outcomes.find(({ mode }) => mode === 'print')?.winner;
  const helper = present.some(({ id }) => id === 'helper');
  const beaten = present.filter(({ id }) => id !== winner && id !== 'helper');
  const owned = new Set(['cloud', 'auth-token', 'api-key']);
  return beaten
    .filter(({ id }) => !(helper && owned.has(id)))
    .map((method) => ({
      id: 'two-methods',
      severity: method.id === 'login' ? 'info' : 'warning',
      title: `${method.label} is there too (${placeText(method.place)}), but ${nameOf(winner)} wins`,
      cost:
        method.id === 'login'
          ? 'the login is not used; requests are billed to the key and not to the subscription'
          : 'two credentials that can fail for different reasons, and an error message that names neither',
      remedy: method.id === 'login' ? 'log out with /logout if you do not want it' : `unset ${method.name}`,
    }));

  function nameOf(id: string | undefined): string {
    return chain.methods.find((method) => method.id === id)?.label ?? 'nothing';
  }
};
