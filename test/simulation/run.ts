import { parseArgs } from 'node:util';
import { Day, type DayReport } from './day.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    hours: { type: 'string', default: '24' },
  },
});
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const hours = Number(values.hours);

const total: Record<string, number> = {};
for (let seed = first; seed < first + count; seed += 1) {
  try {
    const report: DayReport = await (await Day.begin({ seed, hours })).run();
    for (const [name, value] of Object.entries(report)) total[name] = (total[name] ?? 0) + value;
  } catch (fault) {
    console.error(fault instanceof Error ? fault.message : fault);
    process.exitCode = 1;
    break;
  }
}
console.log(JSON.stringify({ days: count, hours, ...total }));
