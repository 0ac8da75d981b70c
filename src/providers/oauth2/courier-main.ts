import { text } from 'node:stream/consumers';
import { ProviderError } from '../../errors.ts';
import { replaceFile } from '../../platform/files.ts';
import { ignoreStraySignals } from '../../platform/guard.ts';
import { loadNative } from '../../platform/native.ts';
import { HttpConnection } from '../http.ts';
import { claim, type Errand, lock, type Outcome } from './courier.ts';

// A process of its own, because its one request must not end with the daemon: courier.ts says why. It leaves what came back
// in a file that only the daemon and its successor can open, then tells the daemon, if that is still there.
ignoreStraySignals();
// systemd ends the whole service with SIGTERM, and kills what is left only much later.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
const native = loadNative();
native?.setNonDumpable();
native?.ignoreRealTimeSignals();
process.stdout.on('error', () => undefined);

void run();

async function run(): Promise<void> {
  const errand = JSON.parse(await text(process.stdin)) as Errand;
  // Fails if the daemon's successor has claimed it: that sends the token itself.
  claim(errand.file);
  const sealed = lock(JSON.stringify(await outcomeOf(errand)), errand.key);
  try {
    replaceFile(errand.file, sealed, { mode: 0o600 });
  } catch {
    // A full disk: then the daemon has to live for it.
  }
  process.stdout.write(sealed, () => process.exit());
}

async function outcomeOf({ url, request, place, env, provider, who, limitMs }: Errand): Promise<Outcome> {
  const connection = new HttpConnection(place, { name: provider, env, homeDir: env['HOME'] ?? '/' }, who);
  try {
    const { status, headers, body } = await connection.send(url, request, AbortSignal.timeout(limitMs));
    return { answer: { status, headers, body: body.toString('base64') } };
  } catch (error) {
    if (!(error instanceof ProviderError)) return {};
    const { kind, message, remedy } = error;
    return { failure: { kind, message, remedy } };
  } finally {
    connection.close();
  }
}
