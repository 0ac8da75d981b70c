import { type BenchOptions, ClientBench } from '../fakes/client-bench.ts';

/** Concurrent tests have to say through their own context what happens when they finish. */
export async function openBench(
  onTestFinished: (close: () => Promise<void>) => void,
  options?: BenchOptions,
): Promise<ClientBench> {
  const bench = await ClientBench.start(options);
  onTestFinished(() => bench.close());
  return bench;
}
