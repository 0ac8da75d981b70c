import { isCancel, password } from '@clack/prompts';
import { Command } from 'commander';
import { connect } from '../../client/broker-client.ts';
import type { CredentialConfig } from '../../config/config.ts';
import { configError } from '../../config/faults.ts';
import { configFile } from '../../config/paths.ts';
import { toKey } from '../../credential/key.ts';
import type { SecretBytes } from '../../credential/secret.ts';
import { BrokerError } from '../../errors.ts';
import { keyringName } from '../../platform/keyring.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { ITEMS_SERVICE, type KeychainSource, keychainDefinition } from '../../providers/keychain/options.ts';
import { loadOwnConfig } from '../../providers/own-config.ts';
import { askKeyring } from '../../setup/key-store.ts';
import { json } from '../output.ts';
import { cancelled } from './login.ts';

interface Options {
  readonly json?: true;
}

interface SetReport {
  readonly name: string;
  readonly item: string;
  readonly keyring: string;
  /** Whether a daemon that runs has taken up the change; false: none runs. */
  readonly daemon: boolean;
}

/** `broker set NAME`: exit 65 if the value is not a key, 69 if the keyring cannot be reached, 77 if it is locked. */
export function setCommand(io: ProcessIo): Command {
  return new Command('set')
    .description('store a value in the macOS Keychain or the Secret Service, for a credential of type keychain')
    .argument('<name>', 'the credential')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe value is asked for in the terminal and not shown, or read from standard input: broker set NAME < FILE.\n' +
        'It replaces what was stored before, and a daemon that runs serves it from now on.',
    )
    .action(async (name: string, options: Options) => {
      const { item } = (await credentialOf(io, name)).source as KeychainSource;
      using value = await readValue(io, name);
      await askKeyring(io, {
        action: 'store',
        service: ITEMS_SERVICE,
        account: item,
        secret: value.reveal(),
        mayStart: true,
        byPerson: true,
      });
      const daemon = await tellDaemon(io, (client) => client.refresh(name));
      report(io, options, { name, item, keyring: keyringName(io.platform), daemon }, 'stored in');
    });
}

/** `broker unset NAME`: nothing stored is not a fault. */
export function unsetCommand(io: ProcessIo): Command {
  return new Command('unset')
    .description('remove a value that was stored with broker set')
    .argument('<name>', 'the credential')
    .option('--json', 'print JSON')
    .action(async (name: string, options: Options) => {
      const { item } = (await credentialOf(io, name)).source as KeychainSource;
      await askKeyring(io, { action: 'remove', service: ITEMS_SERVICE, account: item, mayStart: true, byPerson: true });
      const daemon = await tellDaemon(io, (client) => client.invalidate(name));
      report(io, options, { name, item, keyring: keyringName(io.platform), daemon }, 'removed from');
    });
}

function report(io: ProcessIo, options: Options, result: SetReport, done: string): void {
  const { name, item, keyring, daemon } = result;
  const next = daemon ? 'the daemon has taken it up' : 'no daemon runs; the next one takes it up';
  io.stdout(options.json ? json(result) : `"${name}" ${done} the ${keyring} as "${item}"; ${next}\n`);
}

async function credentialOf(io: ProcessIo, name: string): Promise<CredentialConfig> {
  const file = configFile(io);
  const loaded = await loadOwnConfig(io, file);
  if (loaded.faults !== undefined) throw configError(loaded.faults);
  const { credentials, providers } = loaded.config;
  const isOurs = ({ provider }: CredentialConfig) => providers.get(provider)?.type === keychainDefinition.type;
  const credential = credentials.get(name);
  if (credential !== undefined && isOurs(credential)) return credential;
  const ours = [...credentials.values()].filter(isOurs).map((each) => each.name);
  const add = `add a provider of type "keychain" and [credentials.${name.slice(0, 64)}] with provider and item to ${file}`;
  const remedy = ours.length === 0 ? add : `name one of: ${ours.join(', ')}; or ${add}`;
  if (credential === undefined) {
    throw new BrokerError('ERR_UNKNOWN_CREDENTIAL', `there is no credential "${name.slice(0, 64)}"`, { remedy });
  }
  const type = providers.get(credential.provider)?.type;
  const message = `"${name}" is read from provider "${credential.provider}" (${type}), not from a keychain`;
  throw new BrokerError('ERR_USAGE', message, { remedy: `store its value there; ${remedy}` });
}

/** More is not a key, white space around it included. */
const LONGEST_INPUT = 64 * 1024;

/** @throws ProviderError ERR_KEY_UNUSABLE if it is not a key. */
async function readValue({ terminal, stdin, signal }: ProcessIo, name: string): Promise<SecretBytes> {
  if (terminal !== undefined) {
    const answer = await password({ message: `Value of "${name}"`, ...terminal, signal });
    if (isCancel(answer) || answer === undefined) throw cancelled();
    return asKey(Buffer.from(answer, 'utf8'));
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of (stdin ?? []) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > LONGEST_INPUT) break;
  }
  const whole = Buffer.concat(chunks);
  for (const chunk of chunks) chunk.fill(0);
  return asKey(whole);
}

function asKey(raw: Buffer): SecretBytes {
  try {
    return toKey(raw, 'what was handed in');
  } finally {
    raw.fill(0);
  }
}

/** @returns whether one runs. @throws BrokerError what the daemon says to it. */
async function tellDaemon(
  io: ProcessIo,
  tell: (client: ReturnType<typeof connect>) => Promise<unknown>,
): Promise<boolean> {
  try {
    await tell(connect(io));
    return true;
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    const { code, message, remedy = 'run: broker status' } = error;
    // It may run with another configuration, or not have noticed yet that this one has changed.
    if (code === 'ERR_DAEMON_UNREACHABLE' || code === 'ERR_UNKNOWN_CREDENTIAL') return false;
    throw new BrokerError(code, `the keyring has taken it, but not the daemon: ${message}`, { remedy });
  }
}
