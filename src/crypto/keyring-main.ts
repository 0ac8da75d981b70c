import { createInterface } from 'node:readline';
import type { AsyncEntry } from '@napi-rs/keyring';
import { loadNative } from '../platform/native.ts';
import { type KeyringReply, type KeyringRequest, trouble } from './kek-keyring.ts';
import { findTrouble } from './secret-service.ts';

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

/** Under which items are found in Seahorse, KWalletManager or Keychain Access, or with `secret-tool search service apikey-broker`. */
const KEYRING_SERVICE = 'apikey-broker';

/** What the process is handed: the question, and where to ask it. */
export interface PostedRequest extends KeyringRequest {
  /** Linux: where the session bus listens. */
  readonly bus: string | undefined;
  readonly uid: number;
}

/** Never rejects. */
async function serve(request: PostedRequest, platform: NodeJS.Platform): Promise<KeyringReply> {
  const { action, account, bus, uid, mayStart } = request;
  if (platform !== 'darwin') {
    if (bus === undefined) return trouble('no-bus');
    // As the library names them on an item: SearchItems compares them all.
    const attributes = { service: KEYRING_SERVICE, username: account };
    const obstacle = await findTrouble({ bus, uid, mayStart, attributes });
    if (obstacle !== undefined) return obstacle;
    if (action === 'look') return { outcome: 'usable' };
  }
  try {
    return await act(request, await openEntry(account));
  } catch (error) {
    return describe(error);
  }
}

async function openEntry(account: string): Promise<AsyncEntry> {
  const { AsyncEntry } = await import('@napi-rs/keyring');
  // Without a Secret Service its default is the kernel's keyring, which a reboot empties.
  return new AsyncEntry(KEYRING_SERVICE, account, { linux: { store: 'secret-service' } });
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
  const detail = error instanceof Error ? error.message.slice(0, 300) : 'unknown error';
  return trouble(LOCKED.test(detail) ? 'locked' : 'failed', LOCKED.test(detail) ? '' : detail);
}
