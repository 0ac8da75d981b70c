import { z } from 'zod';
import { type BorrowedCredential, once, optionalFile, refuse, text } from '../config/schema.ts';
import { NAME } from '../protocol/request.ts';

/**
 * Something that a provider logs in with and that somebody else keeps or makes: a client secret, an assertion, an identity
 * token. It is read again for every login. login-input-reader.ts reads it.
 */
export interface LoginInput {
  readonly file?: string | undefined;
  /** A variable of the daemon's environment. */
  readonly env?: string | undefined;
  /** A credential of the broker, whose provider may be any other. */
  readonly credential?: string | undefined;
  readonly command?: readonly string[] | undefined;
}

const WAYS = ['file', 'env', 'credential', 'command'] as const;

const variableName = once(() =>
  text()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of a variable has letters, digits and underscores, and no digit first')
    .optional(),
);
const credentialName = once(() => text().regex(NAME, 'not the name of a credential').optional());
const commandWords = once(() =>
  z
    .array(z.string().regex(/^[^\0]*$/, 'the text has a NUL in it'))
    .min(1, 'an empty command; write it as a list, like ["gcloud", "auth", "print-identity-token"]')
    .optional(),
);

/** @param what for editors: `the client secret`. */
export function loginInput(what: string): z.ZodType<LoginInput> {
  return z
    .strictObject({
      file: optionalFile().describe(`File with ${what}, read again for every login. Default: none.`),
      env: variableName().meta({
        description: `Variable of the daemon's environment that has ${what}. Default: none.`,
        examples: ['CLIENT_SECRET'],
        secret: false,
      }),
      credential: credentialName().meta({
        description: `Name of the credential whose key is ${what}: that of another provider. Default: none.`,
        examples: ['identity'],
        secret: false,
      }),
      command: commandWords().meta({
        description: `Command, one text for each argument, that prints ${what}. No shell reads it. Default: none.`,
        examples: [['gcloud', 'auth', 'print-identity-token']],
        secret: false,
      }),
    })
    .superRefine((input, context) => {
      const given = WAYS.filter((way) => input[way] !== undefined);
      if (given.length === 1) return;
      const ways = WAYS.join(', ');
      if (given.length === 0) refuse(context, 'nothing says where it comes from', `write one of ${ways}`);
      else refuse(context, `${given.join(' and ')} exclude each other`, `keep one of ${ways}`);
    });
}

/** The credentials that these inputs name, for a definition's `borrows`. @param inputs by the key that has them. */
export function borrowedIn(inputs: Readonly<Record<string, unknown>>): readonly BorrowedCredential[] {
  return Object.entries(inputs).flatMap(([key, input]) => {
    const { credential } = (typeof input === 'object' && input !== null ? input : {}) as LoginInput;
    return credential === undefined ? [] : [{ path: [key, 'credential'], credential }];
  });
}

/** Files and variables whose change may fix a login, for a provider's `loginInputs`. */
export function inputsOf({ file, env }: LoginInput): readonly string[] {
  return [file, env].filter((input) => input !== undefined);
}
