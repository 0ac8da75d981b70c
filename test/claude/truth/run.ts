/** Runs every home with the client that BROKER_TEST_CLAUDE names; see package.json, doctor:truth. */
import { writeFileSync } from 'node:fs';
import { judge, type Verdict } from './compare.ts';
import { TRUTH_HOMES } from './homes.ts';

const program = process.env['BROKER_TEST_CLAUDE'] ?? '';
const [pattern = '', out] = process.argv.slice(2);
const homes = TRUTH_HOMES.filter(({ name }) => new RegExp(pattern).test(name));
const queue = [...homes];
const verdicts: Verdict[] = [];
const started = performance.now();
async function worker() {
  for (let home = queue.shift(); home !== undefined; home = queue.shift()) {
    try { verdicts.push(await judge(program, home)); } catch (error) { console.log('FAILED', home.name, String(error)); }
  }
}
await Promise.all(Array.from({ length: 4 }, worker));
verdicts.sort((a, b) => homes.indexOf(a.home) - homes.indexOf(b.home));
for (const v of verdicts) {
  console.log(v.differences.length ? 'DIFF ' : 'ok   ', v.home.name, '|', JSON.stringify(v.client), v.differences.length || out ? `| ${v.differences.join('; ')} | ${v.words.replaceAll('\n', ' / ').slice(0, 260)}` : '');
}
console.log(verdicts.length, 'homes', verdicts.filter((v) => v.differences.length).length, 'different', Math.round((performance.now() - started) / 1000), 's');
if (out) writeFileSync(out, JSON.stringify(verdicts));
