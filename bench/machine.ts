import { cpus, loadavg, release, totalmem } from 'node:os';

/** What a reader needs to know to compare: the machine by its kind, not by its name. */
export function describeMachine(loadBefore: number): readonly string[] {
  const [cpu] = cpus();
  return [
    `${cpus().length} × ${cpu?.model.trim() ?? 'unknown processor'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${process.platform} ${release().split('-')[0]} ${process.arch}, Node ${process.versions.node}`,
    `Load average at the start ${loadBefore.toFixed(1)}, at the end ${(loadavg()[0] ?? 0).toFixed(1)}. **The machine was shared:** other work came and went during the run, so times are worth little; the ratios are of runs that were interleaved with each other.`,
  ];
}
