import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { NativeBindings } from './native.ts';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

let collect: Collect | undefined;

/** Collects all garbage and gives what is free back to the system. Takes some 10 to 30 ms, during which nothing is answered. */
export function releaseMemory(native: NativeBindings | undefined): void {
  if (collect === undefined) {
    // The only way to it for a program that is already running; v8.setFlagsFromString in Node's documentation.
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as Collect;
  }
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  native?.trimHeap();
}
