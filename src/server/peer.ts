import type { AllowWord, Verdict } from '../platform/attestation.ts';
import { type Caller, NOBODY } from '../platform/client-identity.ts';

/** Who is at the other end of a connection, as the kernel says. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  /** Its parent, where the kernel says that at once. */
  readonly ppid?: number | undefined;
  /** When it started, where that has to be read at once to recognise it later. */
  readonly startTime?: string | undefined;
}

/** What the server has to be told about its peers. */
export interface PeerIdentity {
  /** SO_PEERCRED or the like, from the native addon; absent without it. Undefined means that the kernel would not say: the peer is refused. Throws for a peer that has gone (macOS): the connection is closed. */
  readonly peerCredentials?: ((fd: number) => PeerCredentials | undefined) | undefined;
  /**
   * For a credential that has `allow`: whether this caller is among them, as the kernel shows its processes now. `fd` is the
   * connection's, undefined if it is closed. Never throws.
   */
  readonly attest?:
    | ((peer: PeerCredentials | undefined, fd: number | undefined, allow: readonly AllowWord[]) => Verdict)
    | undefined;
  /** `peer` as the kernel says, undefined without the addon; `hints` is the raw request header. Never throws. */
  identify(peer: PeerCredentials | undefined, hints: string | undefined): Caller;
}

/** Knows no client, so that none is judged. */
export const anonymousPeers: PeerIdentity = { identify: () => NOBODY };
