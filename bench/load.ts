import type { Bench } from './lab.ts';
import { output } from './programs.ts';

export interface Load {
  readonly connections: number;
  /** Distinct client processes; at most one per connection. */
  readonly clients: number;
  readonly keepAlive: boolean;
  /** Whether the requests carry what the helper says of itself. Default: they do. */
  readonly named?: boolean;
  readonly milliseconds: number;
  /** Rest of a connection between two requests. 0: none, as many as the server answers. */
  readonly paceMicros?: number;
  /** What is asked for. Default: the key of the default credential. */
  readonly path?: string;
  /** One more header, as a line. */
  readonly header?: string;
  /** What the clients say that they keep a key for; the broker looks more closely at what comes before that. 0: nothing does. */
  readonly intervalMs?: number;
}

/** Times in microseconds. */
export interface LoadResult {
  readonly perSecond: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
}

/** @param socket its path, or a port of 127.0.0.1. @throws Error if a single answer was missing or not good. */
export async function applyLoad({ programs }: Bench, socket: string, load: Load): Promise<LoadResult> {
  const { connections, clients, keepAlive, milliseconds } = load;
  const { named = true, paceMicros = 0, path = '/v1/credentials/_default/key', intervalMs = 0, header } = load;
  const numbers = [clients, connections, milliseconds].map(String);
  const text = await output(programs.load, [
    socket,
    path,
    ...numbers,
    keepAlive ? 'keep' : 'close',
    named ? 'named' : 'nameless',
    String(paceMicros),
    String(intervalMs),
    ...(header === undefined ? [] : [header]),
  ]);
  const [answers = 0, failures = 0, micros = 1, p50 = 0, p90 = 0, p99 = 0, p999 = 0] = text.split(' ').map(Number);
  if (failures > 0) throw new Error(`${failures} of ${answers} answers at ${connections} connections were not good`);
  return { perSecond: (answers / micros) * 1e6, p50, p90, p99, p999 };
}
