import { valueAt } from '../config/walk.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import type { LoginDialogue } from '../providers/provider.ts';
import { planOf, type Surrounding } from './comparison.ts';
import { changeConfig } from './config-change.ts';
import { DEFAULT_CREDENTIAL, type Draft } from './draft.ts';
import type { Looker } from './interview.ts';
import { type KeyStore, keyStore } from './key-store.ts';
import { kindOf } from './kinds.ts';
import type { Machine } from './machine.ts';
import type { Wrong } from './questions.ts';
import { lookAtVault, lookIntoVault, type Session, type Trial, tryOut } from './trial.ts';
import { FACTS_PATH, type VaultFacts } from './vault-facts.ts';

/** The person at this terminal, for logins: how to ask them, and the login that they have made. */
export interface LoginOfPerson {
  readonly dialogue: LoginDialogue;
  readonly session: Session;
}

interface TesterParts extends LoginOfPerson, Surrounding {
  readonly machine: Machine;
  /** The key comes on standard input, for a keyring that has none yet. */
  readonly hasKey: boolean;
}

/** Makes plans of drafts and tries them. */
export class Tester implements Looker {
  readonly #parts: TesterParts;
  readonly #keys: KeyStore;
  visible: VaultFacts | undefined;
  /** With the login that was made. */
  known: VaultFacts | undefined;
  needsCa = false;

  constructor(parts: TesterParts) {
    this.#parts = parts;
    this.#keys = keyStore(parts.io);
  }

  async wrongAddress(draft: Draft, address: string): Promise<Wrong | undefined> {
    const { clock, env, homeDir, signal } = this.#parts.io;
    const { options } = planOf({ ...draft, kind: 'vault', options: { ...draft.options, address } }, this.#parts);
    this.needsCa = false;
    try {
      this.visible = await lookAtVault(options, { clock, env, homeDir, signal });
      return undefined;
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      const isUntrusted = /certificate/.test(error.message) && options['ca_file'] === undefined;
      this.needsCa = isUntrusted;
      return isUntrusted ? undefined : { message: error.message, remedy: error.remedy ?? 'try another' };
    }
  }

  /** A person has logged in on the way. */
  get hasLogin(): boolean {
    return this.#parts.session.token !== undefined;
  }

  async unasked(draft: Draft): Promise<Trial> {
    requireTokenFile(draft, this.#parts.machine);
    const tried = this.try({ ...draft, field: draft.field ?? fieldIn(draft, this.#parts) });
    const trial = await tried.catch((error: unknown) => {
      if (!(error instanceof ProviderError)) throw error;
      throw error.saying(withoutTables(error.message), error.remedy && withoutTables(error.remedy));
    });
    if (trial.fingerprint !== undefined) return trial;
    throw new BrokerError('ERR_USAGE', 'the secret has several values', {
      remedy: `name the one that is the key: --field ${trial.fields.join('|')}`,
    });
  }

  async logIn(draft: Draft): Promise<void> {
    requireTokenFile(draft, this.#parts.machine);
    const { io, place, existing, session, dialogue } = this.#parts;
    const plan = planOf({ ...draft, source: { path: FACTS_PATH } }, this.#parts);
    const { loaded } = await changeConfig(existing, plan, place);
    const { clock, env, homeDir, signal } = io;
    this.known = undefined;
    this.known = await lookIntoVault(loaded, plan, { clock, env, homeDir, signal, dialogue, session });
  }

  /** Another login is made next time. */
  async forget(): Promise<void> {
    await this.#parts.session.giveBack();
    this.#parts.session.end();
  }

  async try(draft: Draft): Promise<Trial> {
    const { io, place, existing, session, dialogue } = this.#parts;
    const plan = planOf(draft, this.#parts);
    const { loaded } = await changeConfig(existing, plan, place);
    const { clock, env, homeDir, signal } = io;
    const once = () => tryOut(loaded, plan, { clock, env, homeDir, signal, dialogue, session });
    if (kindOf(plan.kind).type !== 'keychain') return await once();
    try {
      return await once();
    } catch (error) {
      if (!(error instanceof ProviderError) || error.kind !== 'gone') throw error;
      if (io.terminal === undefined && !this.#parts.hasKey) {
        throw error.saying(error.message, 'hand the key in, and it is stored there: broker setup … --key-stdin < FILE');
      }
      const item = String(plan.source['item']);
      using key = await dialogue.askPassword(`The key itself, to be kept in the keyring as "${item}"`);
      session.onFailure(await this.#keys.store(item, key));
      return await once();
    }
  }
}

/** @throws BrokerError where the only token is one that the daemon will not see. */
function requireTokenFile({ kind, auth }: Draft, { vault }: Machine): void {
  const isInFile = vault.hasTokenFile || auth['token_file'] !== undefined;
  if (kind !== 'vault' || (auth['method'] ?? 'token') !== 'token' || isInFile || !vault.hasTokenVariable) return;
  throw new BrokerError(
    'ERR_LOGIN_EXPIRED',
    "VAULT_TOKEN is set in this shell only: the daemon does not see this shell's variables",
    {
      remedy:
        'write it to a file: (umask 077; printenv VAULT_TOKEN > ~/.vault-token), or log in another way with --auth',
    },
  );
}

/** A remedy as setup says it: there may be no file yet that has these tables. */
export function withoutTables(text: string): string {
  return text.replaceAll(/,? (?:of|in|for|to) \[(?:providers|credentials)\.[^\]]+\]/g, '');
}

/** The field that the credential has today. */
export function fieldIn({ credential = DEFAULT_CREDENTIAL }: Draft, { existing }: Surrounding): string | undefined {
  const field = valueAt(existing.root, ['credentials', credential, 'field']);
  return typeof field === 'string' ? field : undefined;
}
