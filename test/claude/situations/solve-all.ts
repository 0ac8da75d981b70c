/** Within the namespace of run.ts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SHELL_SITUATIONS } from './shells.ts';
import { type Situation, type Solution, solve } from './solve.ts';

const REPORT = join(import.meta.dirname, '..', '..', '..', 'docs', 'doctor-situations.md');
const client = process.env['BROKER_TEST_CLAUDE'] ?? '';
const version = process.env['BROKER_TEST_CLAUDE_VERSION'] ?? '';
const [pattern] = process.argv.slice(2);

const chosen = SHELL_SITUATIONS.filter(({ name }) => pattern === undefined || name.includes(pattern));
const rows: { readonly situation: Situation; readonly solution: Solution; readonly isSolved: boolean }[] = [];
for (const situation of chosen) {
  const solution = await solve(situation, client);
  const { cause, left, exported, client: ran } = solution;
  const isNamed = situation.says.test(cause) && left.length === 0 && exported.length === 0;
  const isSolved = isNamed && ran?.after === true && ran.before === (situation.isWorkingBefore === true);
  rows.push({ situation, solution, isSolved });
  console.log(
    `${isSolved ? 'solved' : 'NOT SOLVED'}: ${situation.name}${isSolved ? '' : `\n${JSON.stringify(solution, null, 2)}`}`,
  );
}
const solved = rows.filter(({ isSolved }) => isSolved).length;
console.log(`${solved} of ${rows.length} solved`);
if (pattern === undefined) writeFileSync(REPORT, report());
process.exitCode = solved === rows.length ? 0 : 1;

function report(): string {
  const lines = rows.map(({ situation: { name, source, shell, hand, isWorkingBefore }, solution, isSolved }) => {
    const did = solution.remedies.map(shown).join('; then: ');
    const cells = [
      `[${name}](${source})`,
      shell,
      shown(solution.cause),
      hand === undefined ? did : `${did} (${hand.what})`,
      isWorkingBefore ? 'works, without that helper' : 'fails, or sends another key',
      isSolved ? "works, with the helper's key" : 'NOT SOLVED',
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return `# Public situations, solved: shells, profiles, variables, helpers, files

Written by \`npm run doctor:situations\` with Claude Code ${version} on Linux: ${solved} of ${rows.length} solved. Each is a home rebuilt from what
somebody reported or committed, with made-up keys. A new shell of that home starts the client against a mock of the Messages API on loopback that takes the
helper's key alone; then \`broker doctor\` is asked, and what it says is done to the letter (lines are removed by their numbers, commands typed); then a
new shell starts the client again. Afterwards the doctor has no error and no warning, and the shell exports nothing that logs in or turns something on.

| situation | shell | cause that the doctor names | its remedy, as it was followed | client before | client after |
|---|---|---|---|---|---|
${lines.join('\n')}
`;
}

/** Without the folder of this run, and what differs from run to run. */
function shown(text: string): string {
  return text.replaceAll(/\/tmp\/broker-home-\w+/g, '~').replaceAll(/ \(\d+ characters, #[0-9a-f]+\)/g, '');
}
