import { type Row, table } from './report.ts';

interface About {
  readonly machine: string;
  readonly node: string;
  readonly load: string;
  readonly date: string;
}

/** docs/reliability.md, whole. */
export function page(rows: readonly Row[], { machine, node, load, date }: About): string {
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  const count = (of: (row: Row) => number) => sum(of).toLocaleString('en');
  return `# Reliability: what was done to it, and what it did

${date}, ${machine}, Node ${node}, load ${load}; ${sum(({ minutes }) => minutes).toFixed(0)} minutes of experiments, some at the same time.

Written by \`npm run campaign\`: real faults against the real daemon, the real helper, SQLite and sockets, with a development Vault
behind a proxy that can go wrong. What is right was written down before (\`test/fault/campaign/\`); a seed repeats its row:
\`npm run campaign -- --only ID --seed N\`.

**${count((row) => (row.id === 'soak' ? 0 : row.inflicted))} faults, ${count((row) => row.answers)} answers, ${count((row) => row.wrong)} wrong keys, ${count((row) => row.lost)} answers lost.**

${table(rows)}
![Memory, descriptors, database and log under the soak](reliability-soak.svg)

- A **wrong key** is one of another credential, of nobody, of a lease that had ended or was revoked, or a replaced value although the next
  one had been in the daemon's socket for five seconds, or although the daemon had twenty seconds to ask for it (the ttl here is two).
- A **lease in flight** was granted by Vault, and the daemon was killed before it had read the answer, or just then: nobody was given its key,
  nobody knows its name, and it ends with its ttl or its login. Every other one is on record or revoked. So it is with an answer that
  comes after the time limit of a call, and with what is granted while the database cannot be written, if the daemon is killed before it can.
- An **answer is lost** if a helper that had to print a key did not, within its 9.5 s.
- ${count((row) => row.stalled)} of the answers were under way while this machine, which is shared, stood still for more than 2.5 s: of these only
  the keys are judged, not the times.
- **Time to recover** is from the fault, or from its end where the row says so, to the first good answer; several experiments run at the
  same time on this machine.

\`npm run campaign -- --short\` does a few of each in under three minutes and runs in CI; the same seed inflicts the same. Days of a broker, with
outages, sleeps, restarts and ten thousand laptops, are simulated on a fake clock besides: \`npm run simulate\`, \`npm run fleet\`.
`;
}
