/** A machine that is shared may stand still for seconds: then nobody can be held to a time. */
const TICK_MS = 100;
const STALL_MS = 2_500;
/** As long after its end as what piled up meanwhile takes. */
const AFTERMATH_MS = 5_000;

const stalls: { readonly fromMs: number; readonly toMs: number }[] = [];

/** Watches this process's own clock, which stands still with the machine and not with a daemon. */
export function watchForStalls(): void {
  let lastMs = Date.now();
  setInterval(() => {
    const now = Date.now();
    if (now - lastMs > STALL_MS) stalls.push({ fromMs: lastMs, toMs: now + AFTERMATH_MS });
    lastMs = now;
  }, TICK_MS).unref();
}

export function stoodStill(fromMs: number, toMs: number): boolean {
  return stalls.some((stall) => stall.fromMs <= toMs && fromMs <= stall.toMs);
}

export function countOfStalls(): number {
  return stalls.length;
}
