import { trimKey } from '../credential/key.ts';
import { SecretBytes } from '../credential/secret.ts';
import { ProviderError } from '../errors.ts';
import { execDefinition } from './exec/options.ts';
import type { LoginInput } from './login-inputs.ts';
import type { ProviderHost } from './provider.ts';
import { readSecretFile } from './secret-file.ts';

/** What was read; the receiver wipes `secret`. */
export interface ReadInput {
  readonly secret: SecretBytes;
  /** For messages: `the file /run/token`, `the credential "identity"`. */
  readonly origin: string;
  /** Of a credential: to be handed in again if the server did not accept it, so that another one is looked for. */
  readonly version?: string;
}

/**
 * Reads it now.
 *
 * @param what for messages: `client secret`.
 * @param refused the version of the one that the server has just refused.
 * @throws ProviderError that concerns the login, if there is none.
 */
export async function readLoginInput(
  input: LoginInput,
  what: string,
  host: ProviderHost,
  signal: AbortSignal,
  refused?: string,
): Promise<ReadInput> {
  const { file, env, credential, command } = input;
  if (credential !== undefined) {
    return {
      ...(await host.credentials.lend(credential, { signal }, refused)),
      origin: `the credential "${credential}"`,
    };
  }
  try {
    if (file !== undefined) {
      return { secret: SecretBytes.fromString(readSecretFile(file, what, host)), origin: `the file ${file}` };
    }
    if (env !== undefined) return { secret: fromVariable(env, what, host), origin: `the variable ${env}` };
    return { secret: await printedBy(command ?? [], host, signal), origin: `the command ${command?.[0]}` };
  } catch (error) {
    throw error instanceof ProviderError ? error.concerning('login') : error;
  }
}

function fromVariable(name: string, what: string, { env }: ProviderHost): SecretBytes {
  const value = env[name]?.trim() ?? '';
  if (value !== '') return SecretBytes.fromString(value);
  throw new ProviderError(
    'login-expired',
    `the variable ${name}, which has the ${what}, is not in the daemon's environment`,
    {
      remedy: `set ${name} where the daemon is started, and restart it; or write the ${what} to a file and name that`,
    },
  );
}

/** The one way to run a command for a key is that of type exec. */
async function printedBy(command: readonly string[], host: ProviderHost, signal: AbortSignal): Promise<SecretBytes> {
  const create = await execDefinition.load();
  const provider = create(execDefinition.providerSchema.parse({ command }), host);
  try {
    const source = execDefinition.credentialSchema.parse({ output: 'text' });
    const { content } = await provider.issue({ source, wantedLifeMs: 0 }, { signal });
    if (content.kind !== 'text') throw new TypeError('asked for text');
    using text = content.text;
    return SecretBytes.from(Buffer.from(trimKey(text.bytes)));
  } finally {
    provider.close();
  }
}
