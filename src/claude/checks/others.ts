import type { OtherClient, OtherTrap } from '../doctor/others.ts';
import { type Check, check, type Severity } from './check.ts';

type Found = OtherTrap & { readonly client: OtherClient };

/** What keeps Codex and Claude Desktop from the key that they are set up for. */
export const otherClientChecks: readonly Check[] = [
  row('client-config-broken', 'error', ({ client, detail }) => [
    `${client.name}: ${detail}`,
    `${client.name} does not start with it, and nothing in it is in effect`,
  ]),
  row('client-key-conflict', 'error', ({ client, detail }) => [
    `${client.name}: ${detail}`,
    `${client.name} refuses its whole configuration for that`,
  ]),
  row('client-helper-missing', 'error', ({ client, detail }) => [
    `the helper of ${client.name} is not there: ${detail}`,
    'no request of it has a key',
  ]),
  row('client-key-refused', 'error', ({ client, detail }) => [
    `${client.name} is set up for a key that it is not given: ${detail}`,
    'broker-key refuses it, and every turn ends with that',
  ]),
  row('client-not-selected', 'warning', ({ client, detail }) => [
    `${client.name} does not use the broker: ${detail}`,
    'its requests carry another key, or none',
  ]),
  row('client-managed', 'warning', ({ client, detail }) => [
    `an administrator's file decides for ${client.name}: ${detail}`,
    'what is set up here is not in effect, or not all of it',
  ]),
  row('client-impatient', 'warning', ({ client, detail }) => [
    `${client.name} does not wait long enough for a key: ${detail}`,
    'while the provider is slow, it ends a call that would have been answered',
  ]),
];

function row(
  id: OtherTrap['id'],
  severity: Severity,
  say: (found: Found) => readonly [title: string, cost: string],
): Check {
  return check<Found>({
    id,
    severity,
    when: ({ others }) =>
      others.flatMap((client) => client.traps.filter((trap) => trap.id === id).map((trap) => ({ ...trap, client }))),
    title: (found) => say(found)[0],
    cost: (found) => say(found)[1],
    remedy: ({ remedy }) => remedy,
    where: ({ where, client }) => where ?? client.file,
  });
}
