import type { HelperFacts } from '../doctor/gather.ts';
import type { Check } from '../doctor/report.ts';
import { effectiveVariable, keyAnswer } from '../settings/effective.ts';
import { shellStatements } from '../shell/tokenizer.ts';
import { placeText, whereOf } from './broker.ts';

const PRINTERS = new Set(['echo', 'printf', 'cat', 'head']);
const HARMLESS = new Set([...PRINTERS, 'exit', 'set', '#!/bin/sh', ':', 'true']);

/** A helper that prints the same key for ever. */
export const staticKey: Check = ({ helper }) => {
  if (helper === undefined || helper.ours || !isStatic(helper)) return [];
  return [
    {
      id: 'static-key',
      severity: 'warning',
      title: 'apiKeyHelper prints a fixed key',
      cost: 'a process every five minutes and at every start for a key that never changes, which lies in plain text',
      remedy:
        "keep the key in Vault or AWS and let the broker fetch it (broker setup); a key that must stay fixed is a variable's job",
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};

function isStatic({ words, program, script, command }: HelperFacts): boolean {
  if (program !== undefined && PRINTERS.has(program)) return words.length > 1 && !/[$`]/.test(command);
  if (script === undefined || !/^#!.*\b(sh|bash|zsh|dash)\b/.test(script)) return false;
  const statements = shellStatements(script);
  const prints = statements.filter(({ words: [first] }) => PRINTERS.has(first?.text ?? ''));
  return (
    prints.length === 1 &&
    statements.every(
      ({ words: [first, ...rest] }) => HARMLESS.has(first?.text ?? '') && !rest.some(({ dynamic }) => dynamic),
    )
  );
}

/** The prompt's default answer is no, and it is remembered without a word (anthropics/claude-code issue 74858). */
export const declinedKey: Check = ({ input, chain }) => {
  const key = effectiveVariable(input, 'ANTHROPIC_API_KEY');
  const helper = chain.methods.some(({ id, present }) => id === 'helper' && present);
  if (key === undefined || helper || keyAnswer(input, key.value) !== 'declined') return [];
  return [
    {
      id: 'api-key-declined',
      severity: 'warning',
      title: 'ANTHROPIC_API_KEY was declined at the prompt once, and that is remembered',
      cost: 'claude -p uses the key and the terminal does not: it asks you to log in',
      remedy: 'turn the key on in /config, or remove it from customApiKeyResponses.rejected in .claude.json',
      ...whereOf(key.place),
    },
  ];
};

/** What could not be found out is said, so that "not there" means something. */
export const keychain: Check = ({ input }) =>
  input.login.unknown
    ? [
        {
          id: 'keychain-unreadable',
          severity: 'info',
          title: 'the macOS Keychain did not say whether it holds a login of Claude Code',
          cost: 'a subscription login that lies there is missing above; it only wins where nothing else is set',
          remedy: 'see for yourself: security find-generic-password -s "Claude Code-credentials"',
        },
      ]
    : [];

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

/** Nothing to log in with. */
export const noMethod: Check = ({ chain }) =>
  chain.outcomes.some(({ mode, winner }) => mode !== 'bare' && winner !== undefined)
    ? []
    : [
        {
          id: 'no-method',
          severity: 'error',
          title: 'Claude Code has nothing to log in with',
          cost: '"Not logged in · Please run /login"',
          remedy: 'set up the broker: broker setup',
        },
      ];
