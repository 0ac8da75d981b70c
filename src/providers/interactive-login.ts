import type { SecretBytes } from '../credential/secret-bytes.ts';
import type { ProviderHost } from './definition.ts';
import type { Call } from './provider.ts';

/** What a login asks of the person who makes it. The terminal behind it is the CLI's. */
export interface LoginDialogue {
  say(text: string): void;
  /** Nothing is echoed; the caller wipes the answer. @throws BrokerError ERR_USAGE where there is nobody to ask. */
  askPassword(question: string): Promise<SecretBytes>;
  /** A code of a second factor, which the caller wipes. @throws BrokerError ERR_USAGE where there is nobody to ask. */
  askPasscode(question: string): Promise<SecretBytes>;
  /** Whether a passcode that was not accepted may be asked for again: false where it was handed in. */
  readonly canAskAgain: boolean;
  /** One of several second factors. @throws BrokerError ERR_USAGE where nobody says which. */
  chooseFactor(question: string, choices: readonly FactorChoice[]): Promise<FactorChoice>;
  /** Opens the address in a browser, or shows it where that cannot be or is not wanted. */
  showPage(address: string): Promise<void>;
}

export interface FactorChoice {
  readonly id: string;
  readonly name: string;
  /** Like totp or duo. */
  readonly type: string;
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
