import { shellWord } from '../../errors.ts';
import type { Facts } from '../doctor/gather.ts';
import { type HelperFacts, hasQuotedTilde, hasWindowsLines, missingInterpreter } from '../doctor/helper.ts';
import { commandsIn, describeCommand } from '../shell/helper-command.ts';
import { type Check, check } from './check.ts';

/** What writes the line again as it was: for the same credential, in the same file. */
export function installCommand(helper: HelperFacts | undefined): string {
  const { scope, file } = helper?.settings ?? {};
  const place = scope === 'flag' && file !== undefined ? ` --settings ${shellWord(file)}` : '';
  const where = scope === 'local' ? ' --scope project-local' : place;
  const name = helper?.ours && helper.credential !== undefined ? ` --credential ${shellWord(helper.credential)}` : '';
  return `broker claude install${where}${name}`;
}

function reinstall(helper: HelperFacts): string {
  return `write the line again: ${installCommand(helper)}`;
}

/** The line that sets apiKeyHelper and the program behind it, as far as they can be judged without running them. */
export const helperChecks: readonly Check[] = [
  check({
    id: 'helper-blank',
    severity: 'error',
    when: ({ helper }) => helper?.command.trim() === '' && helper,
    title: 'apiKeyHelper is nothing but white space',
    cost: 'the client runs it, gets nothing, and sends an empty key: a login beside it is not used either',
    remedy: ({ where }) => `remove the line ${where}, or write it again: broker claude install --force`,
    where: ({ where }) => where,
  }),
  check({
    id: 'placeholder-helper',
    severity: 'error',
    when: (facts) => foreign(facts, ({ command }) => PLACEHOLDERS.test(command)),
    title: 'apiKeyHelper is an example that nobody filled in',
    cost: '"Invalid API key", although everything else is right: a helper beats a login',
    remedy: 'remove the line, or replace it: broker claude install --force',
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-relative',
    when: ({ helper }) => helper?.how === 'relative' && !hasQuotedTilde(helper.command) && helper,
    severity: ({ settings: { scope } }) => (scope === 'user' || scope === 'managed' ? 'error' : 'warning'),
    title: 'apiKeyHelper is a relative path',
    cost: (_, { projectDir }) =>
      `it is looked up in the folder that claude is started in (now ${projectDir}); elsewhere it fails, or runs something else`,
    remedy: (helper) => (helper.ours ? reinstall(helper) : 'write its absolute path'),
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-missing',
    severity: 'error',
    when: ({ helper }) => helper !== undefined && helper.how !== 'unknown' && !helper.found && helper,
    title: ({ how, command }) =>
      `the program of apiKeyHelper ${how === 'by name' ? 'is in no folder of PATH' : 'does not exist'}: ${describeCommand(command)}`,
    cost: 'the client calls it three times in two or three seconds and gives up',
    remedy: (helper, { homeDir }) =>
      hasQuotedTilde(helper.command)
        ? `~ is not expanded in quotes: write ${homeDir} instead of it${helper.ours ? ', or: broker claude install' : ''}`
        : helper.ours
          ? reinstall(helper)
          : 'install the program, or remove the line',
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-not-executable',
    severity: 'error',
    when: ({ helper }) =>
      helper !== undefined && helper.how !== 'unknown' && helper.found && !helper.executable && helper,
    title: ({ path, onNoexec }) =>
      `${path} is not executable${onNoexec ? ': the file system that it lies on is mounted noexec' : ''}`,
    cost: 'the shell answers "Permission denied" and the client gives up after three tries',
    remedy: (helper) => {
      if (!helper.onNoexec) return `type: chmod u+x ${shellWord(helper.path ?? 'FILE')}`;
      return helper.ours ? reinstall(helper) : 'move it to a folder where programs may run';
    },
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-crlf',
    severity: 'error',
    when: ({ helper }) => helper !== undefined && hasWindowsLines(helper) && helper,
    title: ({ path }) => `${path} has Windows line ends`,
    cost: 'the system looks for an interpreter whose name ends in a carriage return, and says that the helper is not there',
    remedy: ({ path }) => `type: perl -pi -e 's/\\r$//' ${shellWord(path ?? 'FILE')}`,
    where: ({ path }) => path,
  }),
  check({
    id: 'helper-interpreter',
    severity: 'error',
    when: ({ helper, input }) => {
      const name = helper && missingInterpreter(input, helper);
      return name !== undefined && { name, path: helper?.path };
    },
    title: ({ path, name }) => `the first line of ${path} names ${name}, which is not there`,
    cost: 'the shell answers "not found", as if the helper itself were not there',
    remedy: ({ path, name }) => `install ${name}, or change the first line of ${path}`,
    where: ({ path }) => `${path}:1`,
  }),
  check({
    id: 'helper-on-path',
    severity: 'info',
    when: ({ helper }) => helper?.how === 'by name' && helper.executable && helper.settings.scope !== 'flag' && helper,
    title: 'apiKeyHelper is found through PATH',
    cost: 'started from an editor or a service, claude may have another PATH and not find it',
    remedy: (helper) => (helper.ours ? reinstall(helper) : `write its absolute path: ${helper.path}`),
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-reads-stdin',
    severity: 'warning',
    // The client leaves its standard input open and never writes to it.
    when: (facts) =>
      foreign(
        facts,
        ({ words, command, script = '' }) =>
          (words.length === 1 && words[0] === 'cat') ||
          STDIN_READERS.some((pattern) => pattern.test(`${command}\n${script}`)),
      ),
    title: 'apiKeyHelper seems to read its standard input',
    cost: 'nothing ever comes and it never ends: the helper hangs until the client gives up after ten minutes',
    remedy: 'let it read from /dev/null: put </dev/null behind the command',
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-may-prompt',
    severity: 'info',
    when: (facts) => {
      const helper = foreign(facts, () => true);
      const asker = helper && programsOf(helper).find((name) => ASKERS.has(name));
      return asker !== undefined && { asker, where: helper?.where };
    },
    title: ({ asker }) => `apiKeyHelper runs ${asker}, which may ask a person`,
    cost: 'it asks again every five minutes and at every start, and requests wait for the answer (anthropics/claude-code issue 11639)',
    remedy: 'let the broker ask once and keep the key: a provider of type exec runs the same command',
    where: ({ where }) => where,
  }),
  check({
    id: 'static-key',
    severity: 'warning',
    when: (facts) => foreign(facts, printsFixedKey),
    title: 'apiKeyHelper prints a fixed key',
    cost: 'a process every five minutes and at every start for a key that never changes and is kept in plain text',
    remedy:
      "keep the key in Vault or AWS and let the broker fetch it (broker setup); a key that must stay fixed is a variable's job",
    where: ({ where }) => where,
  }),
  check({
    id: 'foreign-helper',
    severity: 'info',
    when: (facts) => foreign(facts, () => true),
    title: ({ command }) => `apiKeyHelper runs ${describeCommand(command)}, which is not the broker's`,
    cost: 'keys come from there; tools have written such a line unasked (anthropics/claude-code issue 90236)',
    remedy: 'if you want the broker to answer: broker claude install --force',
    where: ({ where }) => where,
  }),
  check({
    id: 'helper-untrusted-project',
    severity: 'warning',
    when: ({ helper, input }) =>
      ['project', 'local'].includes(helper?.settings.scope ?? '') && input.trusted !== true && helper,
    title: 'apiKeyHelper comes from the settings of this project, whose folder is not trusted',
    cost: "the terminal does not run it before you trust the folder, but claude -p runs it at once: it is somebody else's code with your environment",
    remedy: 'read the helper, then start claude here once and trust the folder, or remove the line',
    where: ({ where }) => where,
  }),
];

/** The helper if it is not the broker's and is so; other tools write one without asking. */
function foreign({ helper }: Facts, is: (helper: HelperFacts) => boolean): HelperFacts | undefined {
  return helper !== undefined && !helper.ours && is(helper) ? helper : undefined;
}

const PLACEHOLDERS =
  /your[-_ ]?(anthropic[-_ ]?)?(api[-_ ]?)?key|\/path\/to\/|change[-_ ]?me|placeholder|<[a-z][a-z_ -]*>|\bx{4,}\b|sk-ant-(\.\.\.|…|x{3,})/i;

const STDIN_READERS = [
  /^\s*(?:IFS=\S*\s+)?read\b(?![^\n]*<)/m,
  /\$\(\s*cat\s*\)/,
  /\/dev\/stdin/,
  /\bsys\.stdin\b|^\s*\w+\s*=\s*input\(/m,
  /\bprocess\.stdin\b|readFileSync\(0\b/,
];

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

/** The first word of every command, in the setting and in the script that it names; also behind a pipe and in `$(…)`. */
function programsOf({ command, script = '' }: HelperFacts): string[] {
  const firsts = [...commandsIn(command), ...commandsIn(script)].map(({ words: [first = ''] }) => first);
  return firsts.map((word) => word.slice(word.lastIndexOf('/') + 1));
}

const PRINTERS = new Set(['echo', 'printf', 'cat', 'head']);
const HARMLESS = new Set([...PRINTERS, 'exit', 'set', ':', 'true']);

function printsFixedKey({ words, program, script, command }: HelperFacts): boolean {
  if (program !== undefined && PRINTERS.has(program)) return words.length > 1 && !/[$`]/.test(command);
  if (script === undefined || !/^#!.*\b(sh|bash|zsh|dash)\b/.test(script)) return false;
  const commands = commandsIn(script).map(({ words: [first = ''], isFixed }) => ({ program: first, isFixed }));
  return (
    commands.filter((each) => PRINTERS.has(each.program)).length === 1 &&
    commands.every((each) => HARMLESS.has(each.program) && each.isFixed)
  );
}
