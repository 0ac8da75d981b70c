import { z } from 'zod';
import { BrokerError } from '../errors.ts';
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

/** The names of providers and credentials. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export interface DurationLimits {
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
export function filePath() {
  return z
    .string()
    .superRefine((file, context) => {
      if (/[\0\n\r]/.test(file)) refuse(context, 'a path holds no line ends and no NUL', 'write the path on one line');
      else if (!/^(?:\/|~(?:\/|$))/.test(file)) {
        refuse(context, 'the path is not absolute', 'write it from the root, as /…, or from your home folder, as ~/…');
      }
    })
    .meta({ file: true, examples: ['~/.config/broker/file'] });
}

/** Text that is a secret itself: masked wherever it would be printed. */
export function secretText() {
  return z.string().min(1).meta({ secret: true });
}

/** Text that is not empty and on one line. */
export function text() {
  return z
    .string()
    .min(1)
    .superRefine((value, context) => {
      if (/[\0\n\r]/.test(value)) refuse(context, 'the text has line ends or NUL in it', 'write it on one line');
    });
}

/** A dotted path into a structured secret, like `data.api_key`. */
export function fieldPath() {
  return text().superRefine((value, context) => {
    if (value !== '' && value.split('.').includes('')) {
      refuse(context, 'a part of the dotted path is empty', 'write names with single dots between them, like data.key');
    }
  });
}

/** Reports a value in the two parts that every fault has: what is wrong, and what to write instead. Never with the value. */
export function refuse(context: z.core.$RefinementCtx, message: string, remedy: string | undefined): void {
  context.addIssue({ code: 'custom', message, params: { remedy }, input: undefined });
}
