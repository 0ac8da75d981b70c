import { ClientBench } from '../fakes/client-bench.ts';

/** Concurrent tests have to say through their own context what happens when they finish. */
export async function openBench(onTestFinished: (close: () => Promise<void>) => void): Promise<ClientBench> {
  const bench = await ClientBench.start();
  onTestFinished(() => bench.close());
  return bench;
}
