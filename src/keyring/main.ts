import { createInterface } from 'node:readline';
import { loadNative } from '../platform/native.ts';
import { type PostedRequest, serve } from './serve.ts';

// A process of its own, because the library connects on the thread that calls it and waits for whoever does not
// answer: whoever asked ends this process when it takes too long. The key passes through its memory.
const native = loadNative();
native?.setNonDumpable();
process.on('SIGUSR1', () => undefined);

const lines = createInterface({ input: process.stdin });
// The daemon is gone, and with it whoever could end this process while the keyring holds it up.
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL'));
lines.once('line', async (line) => {
  const reply = await serve(JSON.parse(line) as PostedRequest, process.platform);
  process.stdout.write(`${JSON.stringify(reply)}\n`);
});
