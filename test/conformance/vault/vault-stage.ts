import type { Faults } from '../../fakes/dev-vault/faults.ts';

/** Where secrets are stored, and read from. */
export type Engine = 'kv-v1' | 'kv-v2' | 'cubbyhole';
/** What makes its secrets itself: with leases, as identity tokens, on a POST with a body. */
export type IssuingEngine = 'dynamic' | 'identity-token' | 'posted';
export type Data = Readonly<Record<string, unknown>>;

export const HOUR_MS = 3_600_000;

/** One request to the server itself, not through a provider. */
export interface Ask {
  readonly body?: Data;
  /** Default: the stage's own, which may do everything. `''` sends none. */
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Told {
  readonly status: number;
  /** A test picks from it what it expects to be there. */
  readonly json: ReturnType<typeof JSON.parse>;
}

/** `callback_mode` of a role; Vault knows the first only. */
export type CallbackMode = 'client' | 'direct' | 'device';

export interface WorkloadRole {
  readonly mount: string;
  readonly role: string;
  readonly jwt: string;
}

/** A Vault as the conformance suite plays with it: the development one, or a real one behind a proxy that can fail. */
export interface VaultStage {
  /** As a provider is configured with it. */
  readonly address: string;
  /** What will befall requests to `address`. */
  readonly faults: Faults;
  /** Nobody listens at `address` until `comeUp()`. */
  goDown(): Promise<void>;
  comeUp(): Promise<void>;
  /** Ends it, and leaves nothing behind on the server. */
  stop(): Promise<void>;

  /** A token that may do everything. */
  readonly rootToken: string;
  ask(method: string, path: string, parts?: Ask): Promise<Told>;

  /** Path of a secret as the HTTP API spells it. */
  pathOf(engine: Engine, name: string): string;
  put(engine: Engine, name: string, data: Data): Promise<void>;
  /** KV v2: a version that ends by itself. */
  putEnding(name: string, data: Data, lifeMs: number): Promise<void>;
  /** Of KV v2 the newest version. */
  remove(engine: Engine, name: string): Promise<void>;

  /** A path of which every GET issues a renewable lease of an hour, at most two; undefined if there is none. */
  readonly leasePath: string | undefined;
  /** An engine that issues on a POST with these parameters, and whose leases cannot be renewed. */
  postEngine(): Promise<{ readonly path: string; readonly params: Readonly<Record<string, string>> }>;
  /** Path of an identity token. */
  oidcRole(): Promise<string>;
  isLive(leaseId: string): Promise<boolean>;

  /** The policy of every login below: reading all of the stage's secrets and revoking leases, and nothing else. */
  readonly policy: string;
  /** Whether that policy grants anything at all. */
  allow(yes: boolean): Promise<void>;

  /** A role with logins of an hour, at most a day; its secret-id is the one given. */
  appRole(secretId: string): Promise<{ readonly mount: string; readonly roleId: string }>;
  /** Of that role, behind a token that unwraps it once. */
  wrappedSecretId(): Promise<string>;
  user(method: 'userpass' | 'ldap', name: string, password: string): Promise<{ readonly mount: string }>;
  /** A role of an OpenID provider that lets in whoever opens its page; `port`: where client logins come back to. */
  oidc(mode: CallbackMode, port: number): Promise<{ readonly mount: string; readonly role: string }>;
  /** A login with a password that needs a code besides, of an app with this key: six digits, every half minute. */
  secondFactor(): Promise<{
    readonly login: string;
    readonly body: Data;
    /** The id of the method of login MFA, whose name ends with `phone`. */
    readonly method: string;
    readonly key: Buffer;
  }>;
  /** A role and a JWT that it accepts. */
  jwt(method: 'jwt' | 'kubernetes'): Promise<WorkloadRole>;
  /** A token that somebody hands in; what is in the cubbyhole of the former one comes into its own. */
  token(): Promise<string>;
  /** The server forgets every login and token granted by the above. */
  dropLogins(): Promise<void>;
}
