import { connect } from 'node:net';
import type { Clock } from '../../platform/clock.ts';
import type { BrokerEvent, CredentialStatus, KeyHome, StatusReport } from '../../protocol/reports.ts';

export interface BrokerFacts {
  /** undefined: no daemon answered. */
  readonly status: StatusReport | undefined;
  /** Of this shell; undefined: nobody looked. */
  readonly config: ShellConfig | undefined;
  /** The one that the helper asks for; undefined if the daemon has no such credential. */
  readonly credential: CredentialStatus | undefined;
  /** Sockets at which something accepts connections. */
  readonly sockets: readonly string[];
  /** How far this machine's clock is ahead of the provider's, where the daemon says so. */
  readonly providerSkewMs: number | undefined;
  /** Keys of the configuration that this shell's environment would give another value than the daemon's gives. */
  readonly differing: readonly string[];
  /** What works in the configuration and should not stay so. */
  readonly risks: readonly ConfigRisk[];
  /** Why no daemon can be started as it was installed; undefined: one can, or none was. */
  readonly launchFlaw?: { readonly message: string; readonly remedy?: string | undefined } | undefined;
  /** The address that the daemon cannot reach for this credential, although a connection from here is taken. */
  readonly reachedHere: string | undefined;
  /** Where the key that encrypts the cache is; undefined: nobody said, or it cannot be reached. */
  readonly keyHome: KeyHome | undefined;
  /** `[daemon] key_home` as the daemon has it; undefined: no daemon said so. */
  readonly configuredKeyHome?: string | undefined;
  /** Whether this session's keyring could keep a key without asking anybody; undefined: nobody looked. */
  readonly keyring?: 'usable' | 'none' | undefined;
}

/** The configuration that this shell's variables lead to. */
export interface ShellConfig {
  /** undefined: to none, on purpose or because none was written yet. */
  readonly file: string | undefined;
  /** What to do first, where there is no such file. */
  readonly setUp: string | undefined;
}

export interface ConfigRisk {
  readonly message: string;
  readonly remedy: string;
  /** `file:line`. */
  readonly where: string;
}

export type KeyHomeFacts = Required<Pick<BrokerFacts, 'configuredKeyHome' | 'keyring'>>;

/** How the daemon and its configuration are asked. */
export interface BrokerParts {
  /** undefined from it: no daemon answered. */
  readonly fetchStatus: () => Promise<StatusReport | undefined>;
  /** The newest events, oldest first. */
  readonly fetchEvents?: (() => Promise<readonly BrokerEvent[]>) | undefined;
  readonly config?: (() => ShellConfig) | undefined;
  /** Keys of the configuration that this shell's environment would give another value than the daemon's gives. */
  readonly differing?: (() => Promise<readonly string[]>) | undefined;
  /** The warnings of `broker config validate`. */
  readonly risks?: (() => Promise<readonly ConfigRisk[]>) | undefined;
  readonly launchFlaw?: (() => BrokerFacts['launchFlaw']) | undefined;
  /** What the configuration and the session's keyring say about the key of the cache, given where it is. */
  readonly keyHome?: ((home: KeyHome) => Promise<KeyHomeFacts>) | undefined;
  /** The address of a provider as the daemon has it; undefined: it has none. */
  readonly addressOf?: ((provider: string) => Promise<string | undefined>) | undefined;
}

export interface BrokerOptions extends BrokerParts {
  readonly clock: Clock;
  /** Places where a broker's socket may be. */
  readonly sockets: readonly string[];
}

/** @param wanted undefined: the default one. */
export function credentialAsked(
  { credentials }: StatusReport,
  wanted: string | undefined,
): CredentialStatus | undefined {
  return credentials.find(({ name, isDefault }) => (wanted === undefined ? isDefault : name === wanted));
}

/** @param wanted the credential that the helper asks for; undefined: the default one. */
export async function askBroker(options: BrokerOptions, wanted: string | undefined): Promise<BrokerFacts> {
  const asked = options.fetchStatus().catch(() => undefined);
  const [status, differing = [], risks = [], keyHomeFacts, answering] = await Promise.all([
    asked,
    options.differing?.().catch(() => undefined),
    options.risks?.().catch(() => undefined),
    asked.then((report) => {
      const home = report?.daemon.cache.keyHome ?? undefined;
      return home && options.keyHome?.(home).catch(() => undefined);
    }),
    Promise.all(options.sockets.map((socket) => answers(socket, options.clock))),
  ]);
  const credential = status && credentialAsked(status, wanted);
  return {
    status,
    config: options.config?.(),
    credential,
    reachedHere: credential && (await addressReachedHere(credential, options)),
    sockets: options.sockets.filter((_, index) => answering[index]),
    providerSkewMs: status && largestSkew(status),
    differing,
    risks,
    launchFlaw: options.launchFlaw?.(),
    keyHome: status?.daemon.cache.keyHome ?? undefined,
    ...keyHomeFacts,
  };
}

/** Node's codes for what the network, and not the server, refuses. */
const UNREACHED = /\((?:EHOSTUNREACH|ENETUNREACH|ECONNREFUSED|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)\)/;

/** Connects and sends nothing. A daemon may be kept out of what its user reaches: a VPN, a firewall, macOS's Local Network. */
async function addressReachedHere({ provider, lastError }: CredentialStatus, options: BrokerOptions) {
  if (lastError === null || !UNREACHED.test(lastError.message)) return undefined;
  const address = await options.addressOf?.(provider).catch(() => undefined);
  if (address === undefined || !URL.canParse(address)) return undefined;
  const { hostname, port, protocol } = new URL(address);
  const place = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'http:' ? 80 : 443) };
  return (await answers(place, options.clock)) ? address : undefined;
}

function largestSkew({ credentials }: StatusReport): number | undefined {
  const skews = credentials.map(({ clockSkewSeconds }) => clockSkewSeconds).filter((skew) => skew !== null);
  const [largest] = skews.sort((a, b) => Math.abs(b) - Math.abs(a));
  return largest === undefined ? undefined : largest * 1000;
}

function answers(place: string | { host: string; port: number }, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = typeof place === 'string' ? connect(place) : connect(place);
    const timer = clock.after(1000, () => done(false));
    connection.once('connect', () => done(true));
    connection.once('error', () => done(false));
    function done(result: boolean): void {
      timer.cancel();
      connection.destroy();
      resolve(result);
    }
  });
}
