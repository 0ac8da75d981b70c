import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Options for a Node that writes a snapshot of its heap into `folder` on SIGUSR2. */
export function heapSnapshotOptions(folder: string): readonly string[] {
  return ['--heapsnapshot-signal=SIGUSR2', `--diagnostic-dir=${folder}`];
}

/** As Node's `v8.getHeapSnapshot()` documents it, as far as it is read here. */
interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[]; readonly node_types: [string[]] } };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

/** Every string that is alive on the heap of a process started with `heapSnapshotOptions(folder)`, copies included. */
export async function stringsOnHeap(pid: number, folder: string): Promise<readonly string[]> {
  process.kill(pid, 'SIGUSR2');
  const { snapshot, nodes, strings } = await readWhole(folder);
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const isString = types[0].map((type) => /string/.test(type));
  const [typeAt, nameAt] = [fields.indexOf('type'), fields.indexOf('name')];
  const found: string[] = [];
  for (let at = 0; at < nodes.length; at += fields.length) {
    if (isString[nodes[at + typeAt] ?? -1]) found.push(strings[nodes[at + nameAt] ?? -1] ?? '');
  }
  return found;
}

/** A snapshot is there before it is whole. */
async function readWhole(folder: string): Promise<Snapshot> {
  for (;;) {
    const name = existsSync(folder) ? readdirSync(folder).find((each) => each.endsWith('.heapsnapshot')) : undefined;
    if (name !== undefined) {
      try {
        return JSON.parse(readFileSync(join(folder, name), 'utf8')) as Snapshot;
      } catch {
        // Still being written.
      }
    }
    await pause(100);
  }
}
