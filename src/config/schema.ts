import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import { ALLOW_WORDS } from '../platform/attestation.ts';
import { hideShapes, isSecretName } from '../platform/text.ts';
import { KEY_HOMES } from '../protocol/reports.ts';
import type { LogLevel } from './config.ts';
import { formatDuration, LONGEST_DURATION_MS, parseDuration } from './durations.ts';

/**
 * The kinds of values that the schemas of the configuration are made of, here and in the providers' definitions.
 * What the configuration code reads from a schema's metadata (`.meta({…})`) beside `description` and `examples`:
 * `secret`: never printed (true), or printed although its name sounds secret (false) ·
 * `file`: a path whose `~/` is expanded and that must be absolute then.
 */
declare module 'zod' {
  interface GlobalMeta {
    secret?: boolean;
    file?: boolean;
  }
}

/** A schema that is built when it is first used, and shared then: building each of every provider took a sixth of a start. */
export function once<Schema>(build: () => Schema): () => Schema {
  let built: Schema | undefined;
  return () => {
    built ??= build();
    return built;
  };
}

// zod compiles a function for each table at its first use. A schema here is used once or twice, and at the start: walking it takes
// a third less time than compiling it first.
z.config({ jitless: true });

interface DurationLimits {
  readonly minMs?: number;
  readonly maxMs?: number;
}

/** `"15m"` → milliseconds. Give defaults with `.prefault('15m')`, so that they are shown as they are written. */
export function duration({ minMs = 0, maxMs = LONGEST_DURATION_MS }: DurationLimits = {}) {
  return z
    .string()
    .transform((text, context) => {
      try {
        const ms = parseDuration(text);
        if (ms < minMs) refuse(context, 'the duration is too short', `write at least "${formatDuration(minMs)}"`);
        if (ms > maxMs) refuse(context, 'the duration is too long', `write at most "${formatDuration(maxMs)}"`);
        return ms;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        refuse(context, error.message, error.remedy);
        return z.NEVER;
      }
    })
    .meta({ examples: ['90s', '15m', '1h30m'] });
}

/** The path of a file: absolute, or from the home folder with `~/`. What the schema gives out is absolute. */
export const filePath = once(() =>
  z
    .string()
    .superRefine((file, context) => {
      if (/[\0\n\r]/.test(file)) refuse(context, 'a path holds no line ends and no NUL', 'write the path on one line');
      else if (!/^(?:\/|~(?:\/|$))/.test(file)) {
        refuse(context, 'the path is not absolute', 'write it from the root, as /…, or from your home folder, as ~/…');
      }
    })
    .meta({ file: true, examples: ['~/.config/broker/file'] }),
);

/** Text that is a secret itself: masked wherever it would be printed. */
export const secretText = once(() => z.string().min(1).meta({ secret: true }));

/** Text that is not empty and on one line. Each kind is built once, and `describe` and `meta` make copies of it. */
export const text = once(() =>
  z
    .string()
    .min(1)
    .superRefine((value, context) => {
      if (/[\0\n\r]/.test(value)) refuse(context, 'the text has line ends or NUL in it', 'write it on one line');
    }),
);

export const optionalText = once(() => text().optional());
export const optionalFile = once(() => filePath().optional());

/** A dotted path into a structured secret, like `data.api_key`. */
const fieldPath = once(() =>
  text().superRefine((value, context) => {
    if (value !== '' && value.split('.').includes('')) {
      refuse(context, 'a part of the dotted path is empty', 'write names with single dots between them, like data.key');
    }
  }),
);

/** Reports a value in the two parts that every fault has: what is wrong, and what to write instead. Never with the value. */
export function refuse(context: z.core.$RefinementCtx, message: string, remedy: string | undefined): void {
  context.addIssue({ code: 'custom', message, params: { remedy }, input: undefined });
}

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]{1,64}$/;
const DAY_MS = 86_400_000;
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const satisfies LogLevel[];

/** Where the API may be asked about a key: nothing secret, and nowhere in the clear but on this machine. */
function checkUrl() {
  return text().superRefine((value, context) => {
    const url = URL.parse(value);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      refuse(
        context,
        'this is not a web address',
        'write it in full, like https://api.anthropic.com/v1/models?limit=1',
      );
    } else if (url.username !== '' || url.password !== '') {
      refuse(context, 'there is a user name or a password in the address', 'remove it: the key goes into a header');
    } else if (isInTheClear(url)) {
      refuse(
        context,
        'a key would go over the network in the clear',
        'write https:// (http:// is for this machine only)',
      );
    } else if ([...url.searchParams].some(([name, word]) => isSecretName(name) || hideShapes(word, '') !== word)) {
      refuse(context, 'there is a secret in the query of the address', 'remove it: the key goes into a header');
    }
  });
}

/** What is sent there others on the network can read: `http://` to any machine but this one. */
export function isInTheClear({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && !/^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}

/** Of an address that a login and keys go to. */
export function riskOfAddress(key: string, address: string | undefined): SourceConflict[] {
  const url = address === undefined ? null : URL.parse(address);
  if (url === null || !isInTheClear(url)) return [];
  const message = 'logins and keys go over the network in the clear: anybody in between can read and change them';
  return [{ key, message, remedy: 'write https:// (http:// is for this machine only)' }];
}

/** As filePath(), or from the broker's own folder in memory; config/paths.ts puts that in. */
function sinkPath() {
  return z.string().superRefine((file, context) => {
    if (/[\0\n\r]/.test(file)) refuse(context, 'a path holds no line ends and no NUL', 'write the path on one line');
    else if (!/^(?:\/|\{runtime\}\/)[^/]/.test(file) || /\/\.{0,2}(?:\/|$)/.test(file)) {
      refuse(
        context,
        'this is not the path of a file',
        'write {runtime}/NAME, or the path from the root, without . and ..',
      );
    }
  });
}

const checkSchema = z.strictObject({
  url: checkUrl().meta({
    description:
      'A request that the API answers with JSON and a status of 2xx if the key is good. https, or http on this machine.',
    examples: ['https://api.anthropic.com/v1/models?limit=1'],
  }),
  headers: z
    .record(
      z.string().regex(HEADER_NAME, 'the name of an HTTP header is one word of letters, digits and dashes'),
      text(),
    )
    .optional()
    .meta({
      description:
        'What else the request needs. The key itself goes into `header` with `header_prefix`. Default: nothing.',
      examples: [{ 'anthropic-version': '2023-06-01' }],
    }),
  rejected: z
    .strictObject({
      status: z
        .int()
        .min(400)
        .max(499)
        .meta({ description: 'The status of the answer.', examples: [401] }),
      field: fieldPath().meta({
        description: "Where the API's own word is in the JSON of the answer.",
        examples: ['error.type'],
      }),
      value: text().meta({ description: 'The word itself.', examples: ['authentication_error'] }),
    })
    .optional()
    .meta({
      description:
        'How the API says that a key is not good. Default: a 401 whose `error.type` is `authentication_error`. Everything else says nothing.',
      examples: [{ status: 401, field: 'error.code', value: 'invalid_api_key' }],
    }),
});

/** The keys that every credential has; what is left of its table is the provider's. */
export const commonCredentialSchema = z.strictObject({
  provider: text().meta({
    description: 'Name of the `[providers.NAME]` table that the key is read through.',
    examples: ['vault-prod'],
  }),
  field: fieldPath()
    .optional()
    .meta({
      description:
        "Which value of the secret is the key: a name in the secret's JSON; dots go deeper, into JSON in a text, too. Default: the whole text, or the only value there is. Not together with `fields`.",
      examples: ['api_key', 'data.key'],
    }),
  fields: z
    .record(
      z
        .string()
        .regex(
          /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/,
          'a field is named with letters, digits, dots, dashes, underscores',
        ),
      fieldPath().meta({ secret: false }),
    )
    .refine((fields) => Object.keys(fields).length > 0, 'the table is empty')
    .optional()
    .meta({
      description:
        'Several values of one read, by the name they are served under (for `--format aws`). Not together with `field`.',
      examples: [{ access_key: 'access_key', secret_key: 'secret_key' }],
    }),
  expires_field: fieldPath()
    .optional()
    .meta({
      description:
        "Which value of the secret says when the key dies: RFC 3339, seconds or milliseconds since the epoch, or seconds from now. Default: the provider's lease, or a JWT's own `exp`.",
      examples: ['expires_at'],
    }),
  header: text()
    .regex(HEADER_NAME, 'the name of an HTTP header is one word of letters, digits and dashes')
    .optional()
    .meta({
      description:
        'The HTTP header that `--format headers` puts the key in. Default x-api-key. Not together with `fields`, whose names are the headers.',
      examples: ['Authorization', 'x-api-key'],
      secret: false,
    }),
  header_prefix: z
    .string()
    .regex(/^[ -~]{0,64}$/, 'the prefix is at most 64 printable ASCII characters')
    .optional()
    .meta({
      description:
        'What precedes the key in that header, a space at its end included. Default: nothing; with `--format proxy` `Bearer `.',
      examples: ['Bearer '],
      secret: false,
    }),
  ttl: duration({ minMs: 100, maxMs: 365 * DAY_MS })
    .prefault('15m')
    .meta({
      description:
        'Duration. How long a key of unknown expiry is trusted before the provider is asked again. Default 15m, from 100ms to 365d.',
      examples: ['15m', '1h'],
    }),
  max_stale: duration({ maxMs: 365 * DAY_MS })
    .prefault('24h')
    .meta({
      description:
        'Duration. How long after the provider last confirmed it a key is still served while the provider fails. Default 24h, from 0s (never) to 365d.',
      examples: ['24h', '7d'],
    }),
  scope: z
    .enum(['shared', 'session'])
    .optional()
    .meta({
      description:
        'One of shared, session. With session each client process gets a lease of its own, which is revoked when the process exits; at most 30 new ones a minute and 256 at a time, further clients share one. Linux, and engines that issue leases. Default shared.',
      examples: ['session'],
      secret: false,
    }),
  allow: z
    .array(z.enum(ALLOW_WORDS))
    .min(1, 'the list is empty, so that nobody could have the key')
    .optional()
    .meta({
      description:
        'Who may have the key, as the kernel shows who asks: claude-code, its own helper calls and nothing that its agent runs; claude-code-background, those of `claude --bg` too; claude-code-node, those of the old client that Node runs. Linux only. Default: every process of yours. `broker help allow` says what it does not stop.',
      examples: [['claude-code']],
    }),
  sink: z
    .strictObject({
      file: sinkPath().meta({
        description:
          'The file, on a file system in memory: {runtime}/… is the folder of the broker below XDG_RUNTIME_DIR or /run/user/UID.',
        examples: ['{runtime}/identity-token'],
      }),
    })
    .optional()
    .describe(
      'A file in which the key is kept, for programs that read tokens from files: 0600, in memory, removed when the daemon stops. Only keys that expire. Default: none. Not together with `fields`, `allow` and `scope`.',
    )
    .meta({ examples: [{ file: '{runtime}/identity-token' }] }),
  check: checkSchema.optional().meta({
    description:
      'A request by which the API itself says whether a key is good; asked when a client asks again early. Without effect until `broker check` has seen that it accepts the key and refuses a made-up one. Default: none. Not together with `fields`.',
    examples: [{ url: 'https://api.anthropic.com/v1/models?limit=1' }],
  }),
});

export const daemonSchema = z.strictObject({
  turn_margin: duration({ maxMs: 3_600_000 })
    .prefault('2m')
    .meta({
      description:
        "Duration. How much longer than the client's refresh interval a served key lives, so that it outlasts a turn. Default 2m, from 0s to 1h.",
      examples: ['2m', '5m'],
    }),
  idle_after: duration({ maxMs: 365 * DAY_MS })
    .prefault('1h')
    .meta({
      description:
        'Duration. A credential that was not asked for this long is no longer refreshed ahead of need. Default 1h, from 0s (never ahead) to 365d.',
      examples: ['1h', '8h'],
    }),
  idle_exit: duration({ maxMs: 365 * DAY_MS })
    .prefault('0s')
    .meta({
      description:
        'Duration. How long without a request before a daemon that a helper started ends itself; the next helper starts another. Default 0s (never), to 365d.',
      examples: ['8h', '1d'],
    }),
  revoke_on_exit: z
    .boolean()
    .prefault(false)
    .meta({
      description:
        'Boolean. Whether leases and logins of the broker are revoked on a real stop; never on restart, reload or upgrade. Default false.',
      examples: [true],
    }),
  log_level: z
    .enum(LOG_LEVELS)
    .prefault('info')
    .meta({
      description: 'One of trace, debug, info, warn, error, fatal, silent. What is logged to stderr. Default info.',
      examples: ['debug'],
    }),
  cache: z
    .enum(['disk', 'memory'])
    .prefault('disk')
    .meta({
      description:
        'One of disk, memory. With memory nothing is kept on the disk, and keys, logins and leases end with the daemon: leases are revoked on a real stop and lapse after any other end. Takes effect with the next start. Default disk.',
      examples: ['memory'],
      secret: false,
    }),
  key_home: z
    .enum(['auto', ...KEY_HOMES])
    .prefault('auto')
    .meta({
      description:
        'One of auto, keyring, file, systemd-credential. Where the key that encrypts a new cache is kept; `broker rotate-key --to` moves that of an existing one. Default auto: the systemd credential of the service, else an OS keyring that is open, else a 0600 file.',
      examples: ['keyring', 'file'],
      secret: false,
    }),
});

/** The outermost table; the tables in `providers` and `credentials` are checked one by one, by their type. */
export const fileSchema = z.strictObject({
  default: text()
    .optional()
    .meta({
      description: 'Name of the credential that is served when no name is given. Default: none.',
      examples: ['anthropic'],
    }),
  providers: z.unknown().optional().describe('Connections to secret systems with their logins, by name.'),
  credentials: z.unknown().optional().describe('What clients may ask for, by name.'),
  daemon: z.unknown().optional().describe('How the daemon behaves; every key is optional.'),
});

/** What the configuration has to know about a provider type to check its tables; providers/definition.ts extends it. */
export interface ProviderSchemas<Options = unknown, Source = unknown> {
  /** The value of `type` in `[providers.NAME]`. */
  readonly type: string;
  /** What people write for `type` instead, in small letters and digits alone, each with what else to write then, if anything. */
  readonly nicknames?: Readonly<Record<string, string>>;
  /** The keys of `[providers.NAME]` but `type`. Strict. */
  readonly providerSchema: z.ZodType<Options>;
  /** The keys of `[credentials.NAME]` that are this provider's own. Strict; the common ones are taken out before. */
  readonly credentialSchema: z.ZodType<Source>;
  /** What environment variables contribute where the configuration is silent: dotted key → variables, first that is set. */
  readonly environmentDefaults: Readonly<Record<string, readonly string[] | EnvironmentRule>>;
  /** What provider and credential say differently, each being right for itself; undefined: nothing. Absent: nothing can be. */
  conflictOf?(source: Source, options: Options, provider: string): SourceConflict | undefined;
  /** What works and should not stay so: of the provider, or, with its `source`, of one credential alone. May look at files. */
  risksOf?(options: Options, source: Source | undefined, around: Around): readonly SourceConflict[];
  /** The credentials whose keys this provider needs for its own login. Absent: it never needs one. */
  borrows?(options: Options): readonly BorrowedCredential[];
}

interface Around {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
}

export interface BorrowedCredential {
  /** The key of `[providers.NAME]` that names it. */
  readonly path: readonly string[];
  readonly credential: string;
}

export interface SourceConflict {
  /** The key of the credential. */
  readonly key: string;
  readonly message: string;
  readonly remedy: string;
}

/** For a key whose variable depends on the rest of the table, which has what the keys before it contributed. */
export interface EnvironmentRule {
  variablesFor(
    table: Readonly<Record<string, unknown>>,
    env: Readonly<Record<string, string | undefined>>,
  ): readonly string[];
}
