import type { HelperFacts } from '../facts.ts';
import type { Check } from '../finding.ts';
import { shellStatements } from '../shell-words.ts';

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
