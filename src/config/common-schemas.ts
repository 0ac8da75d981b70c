import { z } from 'zod';
import type { KeyHome, LogLevel } from './config.ts';
import { duration, fieldPath, NAME, text } from './value-types.ts';

const DAY_MS = 86_400_000;
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const satisfies LogLevel[];
const KEY_HOMES = ['auto', 'keyring', 'file', 'systemd-credential'] as const satisfies KeyHome[];

export const nameSchema = z
  .string()
  .regex(NAME, 'a name is 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit');

/** The keys that every credential has; what is left of its table is the provider's. */
export const commonCredentialSchema = z.strictObject({
  provider: text()
    .describe('Name of the `[providers.NAME]` table that the key is read through.')
    .meta({ examples: ['vault-prod'] }),
  field: fieldPath()
    .optional()
    .describe(
      "Which value of the secret is the key: a name in the secret's JSON; dots go deeper. Default: the whole text, or the only value there is. Not together with `fields`.",
    )
    .meta({ examples: ['api_key', 'data.key'] }),
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
    .describe(
      'Several values of one read, by the name they are served under (for `--format aws`). Not together with `field`.',
    )
    .meta({ examples: [{ access_key: 'access_key', secret_key: 'secret_key' }] }),
  expires_field: fieldPath()
    .optional()
    .describe(
      "Which value of the secret says when the key dies: RFC 3339, seconds or milliseconds since the epoch, or seconds from now. Default: the provider's lease, or a JWT's own `exp`.",
    )
    .meta({ examples: ['expires_at'] }),
  header: text()
    .regex(/^[\w!#$%&'*+.^`|~-]{1,64}$/, 'the name of an HTTP header is one word of letters, digits and dashes')
    .optional()
    .describe(
      'The HTTP header that `--format headers` puts the key in. Default x-api-key. Not together with `fields`, whose names are the headers.',
    )
    .meta({ examples: ['Authorization', 'x-api-key'], secret: false }),
  header_prefix: z
    .string()
    .regex(/^[ -~]{0,64}$/, 'the prefix is at most 64 printable ASCII characters')
    .optional()
    .describe(
      'What stands before the key in that header, a space at its end included. Default: nothing; with `--format proxy` `Bearer `.',
    )
    .meta({ examples: ['Bearer '], secret: false }),
  ttl: duration({ minMs: 100, maxMs: 365 * DAY_MS })
    .prefault('15m')
    .describe(
      'Duration. How long a key of unknown expiry is trusted before the provider is asked again. Default 15m, from 100ms to 365d.',
    )
    .meta({ examples: ['15m', '1h'] }),
  max_stale: duration({ maxMs: 365 * DAY_MS })
    .prefault('24h')
    .describe(
      'Duration. How long after the provider last confirmed it a key is still served while the provider fails. Default 24h, from 0s (never) to 365d.',
    )
    .meta({ examples: ['24h', '7d'] }),
});

export const daemonSchema = z.strictObject({
  turn_margin: duration({ maxMs: 3_600_000 })
    .prefault('2m')
    .describe(
      "Duration. How much longer than the client's refresh interval a served key lives, so that it outlasts a turn. Default 2m, from 0s to 1h.",
    )
    .meta({ examples: ['2m', '5m'] }),
  idle_after: duration({ maxMs: 365 * DAY_MS })
    .prefault('1h')
    .describe(
      'Duration. A credential that was not asked for this long is no longer refreshed ahead of need. Default 1h, from 0s (never ahead) to 365d.',
    )
    .meta({ examples: ['1h', '8h'] }),
  idle_exit: duration({ maxMs: 365 * DAY_MS })
    .prefault('0s')
    .describe(
      'Duration. How long without a request before a daemon that a helper started ends itself; the next helper starts another. Default 0s (never), to 365d.',
    )
    .meta({ examples: ['8h', '1d'] }),
  revoke_on_exit: z
    .boolean()
    .prefault(false)
    .describe(
      'Boolean. Whether leases and logins of the broker are revoked on a real stop; never on restart, reload or upgrade. Default false.',
    )
    .meta({ examples: [true] }),
  log_level: z
    .enum(LOG_LEVELS)
    .prefault('info')
    .describe('One of trace, debug, info, warn, error, fatal, silent. What is logged to stderr. Default info.')
    .meta({ examples: ['debug'] }),
  key_home: z
    .enum(KEY_HOMES)
    .prefault('auto')
    .describe(
      'One of auto, keyring, file, systemd-credential. Where the key that encrypts a new cache is kept; `broker rotate-key --to` moves that of an existing one. Default auto: the systemd credential of the service, else an OS keyring that is open, else a 0600 file.',
    )
    .meta({ examples: ['keyring', 'file'], secret: false }),
});

/** The outermost table; the tables in `providers` and `credentials` are checked one by one, by their type. */
export const fileSchema = z.strictObject({
  default: text()
    .optional()
    .describe('Name of the credential that is served when no name is given. Default: none.')
    .meta({ examples: ['anthropic'] }),
  providers: z.unknown().optional().describe('Connections to secret systems with their logins, by name.'),
  credentials: z.unknown().optional().describe('What clients may ask for, by name.'),
  daemon: z.unknown().optional().describe('How the daemon behaves; every key is optional.'),
});
