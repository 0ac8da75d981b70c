/** Compares the client in BROKER_TEST_CLAUDE with the doctor; run.ts starts it, on loopback only. */
import { writeFileSync } from 'node:fs';
import { compare, type Verdict } from './compare.ts';
import { type Followed, follow } from './follow.ts';
import { TRUTH_HOMES } from './homes.ts';
import { Observations } from './observe.ts';
import { SITUATIONS } from './situations.ts';

/** A client waits for itself most of the time. */
const AT_ONCE = 4;

const program = process.env['BROKER_TEST_CLAUDE'] ?? '';
const version = process.env['BROKER_TEST_CLAUDE_VERSION'] ?? '';
const [out = '', pattern = '', fresh, every = '1'] = process.argv.slice(2);
const homes = TRUTH_HOMES.filter(({ name }, index) => new RegExp(pattern).test(name) && index % Number(every) === 0);
const observations = new Observations(program, version, fresh === 'fresh');
const verdicts: Verdict[] = [];
let next = 0;
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let at = next++; at < homes.length; at = next++) {
      const home = homes[at];
      if (home === undefined) return;
      const verdict = await compare(home, await observations.of(home), version);
      verdicts[at] = verdict;
      if (verdict.differences.length > 0) tell(verdict);
    }
  }),
);
const followed: Followed[] = [];
// Once is enough: what is followed are the doctor's words.
if (every === '1') {
  for (const situation of SITUATIONS.filter(({ name }) => new RegExp(pattern).test(name))) {
    const one = await follow(situation, observations, version);
    followed.push(one);
    if (one.faults.length > 0) console.log(`NOT SOLVED ${situation.name}: ${one.faults.join('; ')}`);
  }
}
writeFileSync(out, JSON.stringify({ verdicts, followed }));
const different = verdicts.filter(({ differences }) => differences.length > 0).length;
console.log(`${verdicts.length} homes, ${different} different`);
if (followed.length > 0) {
  const solved = followed.filter(({ faults }) => faults.length === 0).length;
  console.log(`${followed.length} situations, ${solved} solved`);
}

function tell({ home, differences, words }: Verdict): void {
  console.log(`DIFFERENT ${home.name}: ${differences.join('; ')}\n  ${words.replaceAll('\n', '\n  ')}`);
}
