import { toKey } from '../credential/key.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import { describeTrouble, type KeyringReply, type KeyringRequest, keyringName, trouble } from '../platform/keyring.ts';
import { keyringOf } from '../platform/keyring-child.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { ITEMS_SERVICE } from '../providers/keychain/options.ts';

/** Where a key goes that nobody issues. */
export interface KeyStore {
  /** @returns how to take it back. @throws BrokerError ERR_KEY_UNUSABLE for what is not a key; what keeps the keyring from it. */
  store(item: string, value: SecretBytes): Promise<() => Promise<void>>;
}

export function keyStore(io: ProcessIo): KeyStore {
  return {
    async store(item, value) {
      using key = toKey(value.bytes, 'what was handed in');
      const about = { service: ITEMS_SERVICE, account: item, mayStart: true, byPerson: true } as const;
      await askKeyring(io, { ...about, action: 'store', secret: key.reveal() });
      return async () => void (await askKeyring(io, { ...about, action: 'remove' }).catch(() => undefined));
    },
  };
}

/** @throws BrokerError what keeps the keyring from being asked. */
export async function askKeyring(io: ProcessIo, request: KeyringRequest): Promise<KeyringReply> {
  const reply = (await keyringOf(io)?.(request)) ?? trouble('no-bus');
  if (reply.outcome !== 'trouble') return reply;
  const { reason, remedy } = describeTrouble(keyringName(io.platform), reply);
  const code = reply.why === 'locked' ? 'ERR_LOGIN_EXPIRED' : 'ERR_PROVIDER_UNAVAILABLE';
  throw new BrokerError(code, reason, { remedy: remedy.charAt(0).toLowerCase() + remedy.slice(1) });
}
