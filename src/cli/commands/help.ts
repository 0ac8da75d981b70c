import { spawn } from 'node:child_process';
import path from 'node:path';
import { Command } from 'commander';
import { nearest } from '../../config/explain.ts';
import { BrokerError } from '../../errors.ts';
import { programsOnPath } from '../../platform/files.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { type Paint, painter, table } from '../output.ts';
import { findTopic, listTopics, readTopic, type Topic } from '../topics.ts';

/**
 * `broker help [COMMAND|TOPIC]`: what `--help` prints, and the page of `docs/` of that name.
 * @param programFor the program with this command loaded; undefined: with none.
 */
export function helpCommand(io: ProcessIo, programFor: (command: string | undefined) => Promise<Command>): Command {
  return new Command('help')
    .description('the help of a command, or a page of the manual; broker help topics lists the pages')
    .argument('[what...]', 'a command, a page, or topics')
    .action((what: string[]) => help(io, programFor, what));
}

async function help(
  io: ProcessIo,
  programFor: (command: string | undefined) => Promise<Command>,
  what: readonly string[],
): Promise<void> {
  const [first] = what;
  const program = await programFor(first);
  if (first === undefined) {
    program.outputHelp();
    return io.stdout(`\n${topicList()}`);
  }
  if (what.length === 1 && first === 'topics') return io.stdout(topicList());
  const command = commandAt(program, what);
  const topic = what.length === 1 || command === undefined ? findTopic(what.join('/')) : undefined;
  if (command === undefined && topic === undefined) throw unknown(program, what);
  let usage = '';
  command?.configureOutput({ writeOut: (text) => (usage += text) }).outputHelp();
  if (topic === undefined) return io.stdout(usage);
  const page = readTopic(topic);
  const text = io.stdoutIsTty ? forTerminal(page, topic, painter(io)) : page;
  await show(io, usage === '' ? text : `${usage}\n${text}`);
}

function commandAt(program: Command, words: readonly string[]): Command | undefined {
  let command: Command | undefined = program;
  for (const word of words) command = command?.commands.find((each) => each.name() === word);
  return command;
}

function topicList(): string {
  const topics = listTopics();
  if (topics.length === 0) return 'The pages of the manual were not installed with this program.\n';
  const rows = topics.map(({ name, title }) => [`  ${name}`, title]);
  return `Pages of the manual (broker help PAGE):\n${table(rows)}`;
}

function unknown(program: Command, what: readonly string[]): BrokerError {
  const wanted = what.join(' ');
  const names = [...listTopics().map(({ name }) => name), ...program.commands.map((each) => each.name())];
  const close = nearest(wanted, names);
  const alike = names.filter((name) => name !== close && what.every((word) => name.includes(word.toLowerCase())));
  const meant = [...(close === undefined ? [] : [close]), ...alike].slice(0, 5);
  return new BrokerError('ERR_USAGE', `there is neither a command nor a page "${wanted.slice(0, 64)}"`, {
    remedy: `${meant.length === 0 ? '' : `try: broker help ${meant.join(', or ')}; `}all pages: broker help topics`,
  });
}

/** Headings stand out; a link says which page it leads to, or its address. */
function forTerminal(markdown: string, { page }: Topic, paint: Paint): string {
  let isCode = false;
  const lines = markdown.split('\n').map((line) => {
    if (/^ *```/.test(line)) isCode = !isCode;
    if (isCode) return line;
    if (/^#+ /.test(line)) return paint('bold', line);
    return line.replaceAll(/!?\[([^\]]*)\]\(([^)\s]+)\)/g, (_, text: string, target: string) =>
      linked(text, target, page),
    );
  });
  return lines.join('\n');
}

function linked(text: string, target: string, page: string): string {
  if (/^https?:/.test(target)) return text === target ? text : `${text} <${target}>`;
  const topic = findTopic(path.posix.join(path.posix.dirname(page), target.replace(/#.*$/, '')));
  return topic === undefined ? text : `${text} (broker help ${topic.name})`;
}

/** In a terminal through $PAGER, or less where there is one; as it is everywhere else. */
async function show(io: ProcessIo, text: string): Promise<void> {
  const wanted = io.env['PAGER'] ?? (programsOnPath('less', io.env['PATH'])[0] === undefined ? '' : 'less');
  if (!io.stdoutIsTty || wanted.trim() === '' || wanted.trim() === 'cat') return io.stdout(text);
  // As git has it: no pager for what fits the screen, colours, and the text stays when it ends.
  const env = { LESS: 'FRX', ...io.env };
  const pager = spawn('/bin/sh', ['-c', wanted], { stdio: ['pipe', 'inherit', 'inherit'], env });
  // Whoever leaves the pager early has read enough.
  pager.stdin.on('error', () => undefined);
  pager.stdin.end(text);
  const NOT_FOUND = 127;
  const code = await new Promise<number | null>((resolve) => {
    pager.once('close', resolve);
    pager.once('error', () => resolve(NOT_FOUND));
  });
  if (code === NOT_FOUND) io.stdout(text);
}
