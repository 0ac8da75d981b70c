import { createInterface } from 'node:readline';
import type { AsyncEntry } from '@napi-rs/keyring';
import { ignoreStraySignals } from './guard.ts';
import { type KeyringReply, type KeyringRequest, trouble } from './keyring.ts';
import { loadNative } from './native.ts';
import { firstLine } from './text.ts';

// A process of its own, because the library connects on the thread that calls it and waits however long the
// keyring takes: the daemon ends this process when it takes too long. The key passes through its memory.
ignoreStraySignals();
const native = loadNative();
native?.setNonDumpable();
native?.ignoreRealTimeSignals();

const lines = createInterface({ input: process.stdin });
// The daemon is gone, and nothing else would end this process while the keyring holds it up.
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL'));
lines.once('line', async (line) => {
  const reply = await serve(JSON.parse(line) as KeyringRequest);
  process.stdout.write(`${JSON.stringify(reply)}\n`);
});

/** Never rejects. On Linux the keyring was found open just before. */
async function serve(request: KeyringRequest): Promise<KeyringReply> {
  if (request.byPerson !== true) native?.forbidKeychainDialogues();
  try {
    return await act(request, await openEntry(request));
  } catch (error) {
    return describe(error);
  }
}

async function openEntry({ service, account }: KeyringRequest): Promise<AsyncEntry> {
  const { AsyncEntry } = await import('@napi-rs/keyring');
  // Without a Secret Service its default is the kernel's keyring, which a reboot empties.
  return new AsyncEntry(service, account, { linux: { store: 'secret-service' } });
}

async function act({ action, secret }: KeyringRequest, entry: AsyncEntry): Promise<KeyringReply> {
  if (action === 'remove') {
    await entry.deleteCredential();
    return { outcome: 'done' };
  }
  if (action === 'store' && secret !== undefined) {
    await entry.setPassword(secret);
    // What a service took and cannot give back would be lost with this process.
    return (await entry.getPassword()) === secret
      ? { outcome: 'done' }
      : trouble('failed', 'what was stored could not be read back');
  }
  const found = await entry.getPassword();
  if (action === 'look') return { outcome: 'usable' };
  return found === null ? { outcome: 'absent' } : { outcome: 'found', secret: found };
}

/** -25308 errSecInteractionNotAllowed, -25293 errSecAuthFailed, -128 userCanceled: Security/SecBase.h. */
const LOCKED = /locked|prompt was dismissed|interaction is not allowed|-25308|-25293|-128\b|canceled the operation/i;

function describe(error: unknown): KeyringReply {
  const detail = error instanceof Error ? firstLine(error.message, [], 300) : 'unknown error';
  return trouble(LOCKED.test(detail) ? 'locked' : 'failed', LOCKED.test(detail) ? '' : detail);
}
