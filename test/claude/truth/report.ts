import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Verdict } from './compare.ts';
import type { Followed } from './follow.ts';
import type { Account } from './observe.ts';

const FILE = join(import.meta.dirname, '..', '..', '..', 'docs', 'doctor-truth.md');

export interface Run {
  readonly version: string;
  readonly verdicts: readonly Verdict[];
  /** Situations whose remedies were followed. */
  readonly followed: readonly Followed[];
}

/** Writes docs/doctor-truth.md: what each home made the client send, and whether the doctor had said so. */
export function writeReport(runs: readonly Run[]): void {
  const [newest] = runs;
  if (newest === undefined) return;
  const counts = runs.map(({ version, verdicts }) => {
    const different = verdicts.filter(({ differences }) => differences.length > 0).length;
    const asked = verdicts.filter(({ asked }) => asked).length;
    return `- Claude Code ${version}: ${verdicts.length} homes, **${different} different**; in ${asked} of them \`claude auth status\` was compared too`;
  });
  const rows = newest.verdicts.map(({ home, client, differences }) => {
    const others = runs.slice(1).map(({ version, verdicts }) =>
      noteOf(
        version,
        client,
        verdicts.find((each) => each.home.name === home.name),
      ),
    );
    const notes = [...differences, ...others].filter(Boolean).join('; ');
    return `| ${home.name} | ${client.xApiKey} | ${client.authorization} | ${client.helper} | ${notes || '='} |`;
  });
  const solved = newest.followed.map(
    ({ situation: { name, source, finds }, remedy, faults }) =>
      `| ${name} | ${source ?? '–'} | \`${finds}\` | ${remedy.replaceAll('|', '\\|')} | ${faults.join('; ') || 'yes'} |`,
  );
  writeFileSync(
    FILE,
    `# The doctor against the real client

Written by \`npm run doctor:truth\`: each home below was given to the real client for one short turn (\`claude -p\`, in a network
namespace with only loopback, against a server that takes any key and remembers it) and to \`broker doctor --json\`. Compared are what
\`x-api-key\` and \`Authorization\` of the request to the model carried, whether a helper ran and which, and so who wins.

${counts.join('\n')}

With the version before every second home was tried. A helper's name is that of the settings file that sets it. "nothing" in both headers: no request was made.

| home | x-api-key | Authorization | helper that ran | doctor |
|---|---|---|---|---|
${rows.join('\n')}

## Situations that people report

Each was rebuilt from the report named (or from what the client was seen to do), the doctor had to name the cause, its remedy was
followed, and the real client then had to send what was wanted, with the finding gone.

| situation | reported in | finding | what it said to do | the client worked then |
|---|---|---|---|---|
${solved.join('\n')}
`,
  );
}

function noteOf(version: string, client: Account, other: Verdict | undefined): string {
  if (other === undefined) return '';
  const isSame = JSON.stringify(client) === JSON.stringify(other.client);
  const otherwise = isSame ? '' : `${version} sends ${other.client.xApiKey}/${other.client.authorization}`;
  return [otherwise, ...other.differences.map((difference) => `${version}: ${difference}`)].filter(Boolean).join(', ');
}
