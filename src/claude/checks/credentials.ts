import { whyNotAKey } from '../../credential/key.ts';
import type { AuthMethod } from '../doctor/auth-chain.ts';
import type { Facts } from '../doctor/gather.ts';
import { type KeyKind, keyKind } from '../doctor/helper.ts';
import { effectiveVariable, keyAnswer, originFile, originText } from '../settings/effective.ts';
import { type Check, check } from './check.ts';

/** What Claude Code has to log in with: nothing, too much, or something declined, damaged or in the wrong place. */
export const credentialChecks: readonly Check[] = [
  check({
    id: 'no-method',
    severity: 'error',
    when: ({ chain: { outcomes } }) =>
      [outcomes.interactive, outcomes.print].every(({ winner, end }) => winner === undefined && end === undefined),
    title: 'Claude Code has nothing to log in with',
    cost: '"Not logged in · Please run /login"',
    remedy: 'set up the broker: broker setup',
  }),
  check({
    id: 'key-damaged',
    severity: 'error',
    when: (facts) => keysGiven(facts).filter(({ damage }) => damage !== undefined),
    title: ({ name, origin, damage }) => `the value of ${name} in ${originText(origin)} is damaged: ${damage}`,
    cost: 'every request with it is answered with 401, or is never made',
    remedy: 'copy the key again, bare and on one line',
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'key-in-wrong-variable',
    severity: 'error',
    when: (facts) => keysGiven(facts).filter(({ damage, kind, wrong }) => damage === undefined && wrong.includes(kind)),
    title: ({ name, origin, kind }) => `${name} in ${originText(origin)} holds ${KIND_NAMES[kind]}`,
    cost: ({ right }) => `the API answers 401: this variable takes ${right}`,
    remedy: ({ kind }) =>
      kind === 'admin-key'
        ? 'make an API key in the Console and use that'
        : `put it into ${kind === 'api-key' ? 'ANTHROPIC_API_KEY' : 'CLAUDE_CODE_OAUTH_TOKEN'}`,
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'two-methods',
    // What beats a helper has a check of its own.
    when: ({ chain: { methods, outcomes }, helper }) =>
      methods.filter(
        ({ id, present }) =>
          present &&
          id !== 'helper' &&
          id !== outcomes.print.winner &&
          // A header by hand has a finding of its own, and what passes through a cloud is no second login.
          id !== 'custom-headers' &&
          !(id === 'cloud' && outcomes.print.winner !== undefined) &&
          !(helper !== undefined && ['auth-token', 'api-key', 'handed-key'].includes(id)),
      ),
    severity: ({ id }) => (KEPT.has(id) ? 'info' : 'warning'),
    title: ({ label, origin }, { chain: { methods, outcomes } }) => {
      const winner = methods.find(({ id }) => id === outcomes.print.winner)?.label ?? 'nothing';
      return `${label} is there too (${originText(origin)}), but ${winner} wins`;
    },
    cost: ({ id }) =>
      KEPT.has(id)
        ? 'the login is not used; requests are billed to the key and not to the subscription'
        : 'two credentials that can fail for different reasons, and an error message that names neither',
    remedy: (loser, { chain: { methods, outcomes } }) => {
      const winner = methods.find(({ id }) => id === outcomes.print.winner);
      const keep = winner === undefined ? '' : `to use ${winner.label}: ${giveUp(loser)}; `;
      return `${keep}to use ${loser.label}: ${winner === undefined ? 'nothing has to be done' : giveUp(winner)}`;
    },
  }),
  check({
    id: 'api-key-declined',
    severity: 'warning',
    // The prompt's default answer is no, and it is remembered without a word (anthropics/claude-code issue 74858).
    when: ({ input, helper }) => {
      const key = effectiveVariable(input, 'ANTHROPIC_API_KEY');
      return helper === undefined && key !== undefined && keyAnswer(input, key.value) === 'declined' && key;
    },
    title: 'ANTHROPIC_API_KEY was declined at the prompt once, and that is remembered',
    cost: 'claude -p uses the key and the terminal does not: it asks you to log in',
    remedy: 'turn the key on in /config, or remove it from customApiKeyResponses.rejected in .claude.json',
    where: ({ origin }) => originFile(origin),
  }),
  check({
    id: 'keychain-unreadable',
    severity: 'info',
    when: ({ input }) => input.login.unknown,
    title: 'the macOS Keychain did not say whether it holds a login of Claude Code',
    cost: 'a subscription login in it is missing above; it only wins where nothing else is set',
    remedy: 'see for yourself: security find-generic-password -s "Claude Code-credentials"',
  }),
];

/** Not in the way of anything, and there for other programs perhaps. */
const KEPT: ReadonlySet<string> = new Set(['login', 'console-key', 'profile']);

/** What a person does who does not want this method, typed as it stands. */
function giveUp({ id, name, origin }: AuthMethod): string {
  switch (id) {
    case 'helper':
      return 'broker claude uninstall';
    case 'login':
    case 'console-key':
      return 'claude auth logout';
    case 'profile':
      return `remove ${origin?.file ?? 'the profile'}`;
    default:
      return origin?.kind === 'settings'
        ? `remove env.${name} from ${originText(origin)}`
        : `unset ${name}${origin?.file === undefined ? '' : `, and remove it from ${originText(origin)}`}`;
  }
}

const VARIABLES: readonly { readonly name: string; readonly wrong: readonly KeyKind[]; readonly right: string }[] = [
  { name: 'ANTHROPIC_API_KEY', wrong: ['oauth-token', 'admin-key'], right: 'an API key (sk-ant-api…)' },
  { name: 'ANTHROPIC_AUTH_TOKEN', wrong: ['admin-key'], right: 'a bearer token' },
  {
    name: 'CLAUDE_CODE_OAUTH_TOKEN',
    wrong: ['api-key', 'admin-key'],
    right: 'a token of claude setup-token (sk-ant-oat…)',
  },
];

const KIND_NAMES: Partial<Record<KeyKind, string>> = {
  'oauth-token': 'an OAuth token (sk-ant-oat…)',
  'admin-key': 'an Admin API key (sk-ant-admin…)',
  'api-key': 'an API key (sk-ant-api…)',
};

function keysGiven({ input }: Facts) {
  return VARIABLES.flatMap((variable) => {
    const set = effectiveVariable(input, variable.name);
    return set === undefined ? [] : [{ ...variable, ...set, kind: keyKind(set.value), damage: damageOf(set.value) }];
  });
}

function damageOf(value: string): string | undefined {
  if (/^Bearer\s/i.test(value)) return 'starts with "Bearer "';
  return /^(["']).*\1$/.test(value.trim()) ? 'holds its quotes' : whyNotAKey(value);
}
