import type { SecretBytes } from '../credential/secret-bytes.ts';
import type { ProviderHost } from './definition.ts';
import type { Call } from './provider.ts';

/** What a login asks of the person who makes it. The terminal behind it is the CLI's. */
export interface LoginDialogue {
  say(text: string): void;
  /** Nothing is echoed; the caller wipes the answer. @throws BrokerError ERR_USAGE where there is nobody to ask. */
  askPassword(question: string): Promise<SecretBytes>;
  /** Opens the address in a browser, or shows it where that cannot be or is not wanted. */
  showPage(address: string): Promise<void>;
}

/**
 * One login by a person; the token, which the caller wipes, is then handed to the daemon. Waits for the person as long
 * as a login page lives, at most some minutes.
 *
 * @throws BrokerError ERR_USAGE if the provider logs in by itself; ProviderError if the login fails.
 */
export type InteractiveLogin<Options = unknown> = (
  options: Options,
  host: ProviderHost,
  dialogue: LoginDialogue,
  call: Call,
) => Promise<SecretBytes>;
