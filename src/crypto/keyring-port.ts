/** Asks the keyring of the operating system. Never rejects, and ends by itself however long the keyring takes. */
export type AskKeyring = (request: KeyringRequest) => Promise<KeyringReply>;

export interface KeyringRequest {
  /**
   * look: could a key be kept here? · read: what is kept under `account` · store: keep `secret` under `account` and
   * read it back · remove: forget `account`, and it is no fault if nothing is kept there.
   */
  readonly action: 'look' | 'read' | 'store' | 'remove';
  readonly account: string;
  readonly secret?: string;
  /** A service that does not run may be started by the bus: only for a key that is known to be there or wanted there. */
  readonly mayStart: boolean;
}

export type KeyringReply =
  | { readonly outcome: 'found'; readonly secret: string }
  /** read: the keyring is open, and nothing is kept under this account. */
  | { readonly outcome: 'absent' }
  /** look: a key could be kept here · store, remove: done. */
  | { readonly outcome: 'usable' | 'done' }
  | KeyringTrouble;

export interface KeyringTrouble {
  readonly outcome: 'trouble';
  readonly why: TroubleKind;
  /** In the words of whoever refused; never a secret. Empty where `why` says it all. */
  readonly detail: string;
}

/**
 * no-bus, no-service, no-collection: this machine or session has no keyring that could keep a key · locked: it has one,
 * and a person has to open it · silent: no answer in time · failed: anything else.
 */
export type TroubleKind = 'no-bus' | 'no-service' | 'no-collection' | 'locked' | 'silent' | 'failed';

export function trouble(why: TroubleKind, detail = ''): KeyringTrouble {
  return { outcome: 'trouble', why, detail };
}
