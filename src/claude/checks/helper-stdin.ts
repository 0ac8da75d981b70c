import type { Check } from '../finding.ts';

const READS = [
  /^\s*(?:IFS=\S*\s+)?read\b(?![^\n]*<)/m,
  /\$\(\s*cat\s*\)/,
  /\/dev\/stdin/,
  /\bsys\.stdin\b|^\s*\w+\s*=\s*input\(/m,
  /\bprocess\.stdin\b|readFileSync\(0\b/,
];

/** The client leaves stdin open and never writes to it. */
export const helperStdin: Check = ({ helper }) => {
  if (helper === undefined || helper.ours) return [];
  const lonelyCat = helper.words.length === 1 && helper.words[0] === 'cat';
  const text = `${helper.command}\n${helper.script ?? ''}`;
  if (!lonelyCat && !READS.some((pattern) => pattern.test(text))) return [];
  return [
    {
      id: 'helper-reads-stdin',
      severity: 'warning',
      title: 'apiKeyHelper seems to read its standard input',
      cost: 'nothing ever comes and it never ends: the helper hangs until the client gives up after ten minutes',
      remedy: 'let it read from /dev/null: put </dev/null behind the command',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};
