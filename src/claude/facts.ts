import type { StatusReport } from '../protocol/status.ts';
import type { AuthChain } from './auth-chain.ts';
import type { ChainInput } from './effective.ts';
import type { ServedSettings } from './served-settings.ts';
import type { SettingsFile } from './settings-files.ts';

/** Everything the checks look at. Checks are pure: what is not in here they do not know. */
export interface Facts {
  readonly homeDir: string;
  readonly projectDir: string;
  readonly stateDir: string;
  readonly uid: number;
  readonly platform: NodeJS.Platform;
  readonly input: ChainInput;
  readonly chain: AuthChain;
  readonly helper: HelperFacts | undefined;
  /** undefined: the helper was not run. */
  readonly run: HelperRun | undefined;
  readonly apps: InstalledApps;
  /** Files and folders whose mode matters, those that are there. */
  readonly guarded: readonly GuardedFile[];
  readonly broker: BrokerFacts;
  /** `~/.claude/settings.json` where CLAUDE_CONFIG_DIR leads elsewhere and that file still sets a helper. */
  readonly orphanedSettings: string | undefined;
  readonly served: ServedSettings | undefined;
}

export interface HelperFacts {
  readonly command: string;
  readonly settings: SettingsFile;
  readonly line: number;
  /** It runs `broker-key` or `broker get` by its words. */
  readonly ours: boolean;
  /** The credential that a command of ours asks for; undefined: the default one. */
  readonly credential: string | undefined;
  /** The first word; undefined where the command is no plain command. */
  readonly program: string | undefined;
  readonly words: readonly string[];
  readonly how: 'absolute' | 'relative' | 'by name' | 'unknown';
  /** Where the program lies, if that can be said. */
  readonly path: string | undefined;
  readonly found: boolean;
  readonly executable: boolean;
  /** The program's text if it is a script of reasonable size. */
  readonly script: string | undefined;
  /** What the doctor may run without being told to. */
  readonly mayRun: boolean;
}

/** What came of running the helper as the client runs it; the key itself is not kept. */
export interface HelperRun {
  readonly ms: number;
  /** hung: no end of its output within the limit. */
  readonly outcome: 'ended' | 'hung' | 'not started';
  readonly exitCode: number | undefined;
  /** Why the client would refuse the output; undefined if it would take it. */
  readonly refusal: string | undefined;
  /** Kind and fingerprint of what was printed. */
  readonly shown: string | undefined;
  readonly kind: KeyKind | undefined;
  /** Of a JWT, how much of its life was left; negative once it is over. */
  readonly expiresInMs: number | undefined;
  /** stderr of our own helper, which holds no secret; of any other only that there was some. */
  readonly message: string | undefined;
}

export type KeyKind = 'api-key' | 'oauth-token' | 'admin-key' | 'jwt' | 'json' | 'other';

export interface InstalledApps {
  /** Folder of the VS Code (or Cursor, …) extension. */
  readonly editor: string | undefined;
  readonly desktop: string | undefined;
}

export interface GuardedFile {
  readonly file: string;
  /** settings: running code · secret: holds one · program: the helper · state: the broker's own. */
  readonly role: 'settings' | 'secret' | 'program' | 'state';
  readonly mode: number;
  readonly uid: number;
}

export interface BrokerFacts {
  /** undefined: no daemon answered, or nobody asked. */
  readonly status: StatusReport | undefined;
  readonly asked: boolean;
  /** Sockets at which something accepts connections. */
  readonly sockets: readonly string[];
  /** How far this machine's clock is ahead of the provider's, where the daemon says so. */
  readonly providerSkewMs: number | undefined;
  /** Keys of the configuration that this shell's environment would give another value than the daemon's gives. */
  readonly differing?: readonly string[];
  /** `[daemon] key_home` as the daemon has it; undefined: no daemon said so. */
  readonly configuredKeyHome?: string | undefined;
  /** Whether this session's keyring could keep a key without asking anybody; undefined: nobody looked. */
  readonly keyring?: 'usable' | 'none' | undefined;
}
