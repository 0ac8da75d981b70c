import type { HelperFacts } from '../facts.ts';
import type { Check } from '../finding.ts';
import { shellStatements } from '../shell-words.ts';

/** Programs that open a window, ask for a password or wait for a touch when their session is over. */
const ASKERS = new Set([
  'op',
  'bw',
  'lpass',
  'pass',
  'gopass',
  'gpg',
  'sudo',
  'pkexec',
  'kinit',
  'aws-vault',
  'osascript',
  'zenity',
  'kdialog',
]);

/** The client runs the helper every few minutes, behind requests and with nobody at a prompt. */
export const helperPrompts: Check = ({ helper }) => {
  const asker = helper === undefined || helper.ours ? undefined : programsOf(helper).find((name) => ASKERS.has(name));
  if (helper === undefined || asker === undefined) return [];
  return [
    {
      id: 'helper-may-prompt',
      severity: 'info',
      title: `apiKeyHelper runs ${asker}, which may ask a person`,
      cost: 'it asks again every five minutes and at every start, and requests wait for the answer (anthropics/claude-code issue 11639)',
      remedy: 'let the broker ask once and keep the key: a provider of type exec runs the same command',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};

/** The first word of every command, in the setting and in the script that it names; also behind a pipe and in `$(…)`. */
function programsOf({ command, script }: HelperFacts): string[] {
  const statements = shellStatements(`${command}\n${script ?? ''}`);
  const firsts = statements.map(({ words }) => words.find(({ text }) => !/^[A-Za-z_]\w*=/.test(text))?.text ?? '');
  const inner = [...`${command}\n${script ?? ''}`.matchAll(/\$\(\s*([\w./-]+)/g)].map(([, word]) => word ?? '');
  return [...firsts, ...inner].map((word) => word.slice(word.lastIndexOf('/') + 1));
}
