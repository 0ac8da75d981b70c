import { setTimeout as pause } from 'node:timers/promises';
import type { FailureKind } from '../../src/errors.ts';
import { ITEMS_SERVICE, keychainDefinition } from '../../src/providers/keychain/options.ts';
import { lendsNothing, type Provider } from '../../src/providers/provider.ts';
import type { ConnectParts, Fault, InjectedFault, ProviderHarness } from '../conformance/provider-harness.ts';
import { realClock } from '../fakes/real-clock.ts';
import { Desk } from './desk.ts';
import { askAt } from './open-at.ts';

/** GNOME Keyring at a desk of its own. */
export class KeychainHarness implements ProviderHarness {
  readonly capabilities = {
    contents: ['text'] as const,
    versions: false,
    serverTime: false,
    missing: 'gone' as FailureKind,
    leases: false,
    logins: false,
  };
  readonly desk = new Desk();

  readonly faults: Partial<Record<Fault, () => Promise<InjectedFault>>> = {
    unavailable: async () => {
      await this.desk.restartKeyring('locked');
      return { reached: Promise.resolve(), clear: () => this.desk.restartKeyring('unlocked') };
    },
    refused: async () => {
      await this.desk.stopKeyring();
      return { reached: Promise.resolve(), clear: () => this.desk.startKeyring('unlocked') };
    },
    hang: async () => {
      this.desk.freezeKeyring();
      // Long enough for the question to be on its way; that it stays unanswered is all that counts.
      return { reached: pause(100), clear: async () => this.desk.thawKeyring() };
    },
  };

  async start(): Promise<void> {
    await this.desk.start();
  }

  stop(): Promise<void> {
    return this.desk[Symbol.asyncDispose]();
  }

  async connect(parts: ConnectParts): Promise<Provider> {
    const create = await keychainDefinition.load();
    const { env, folder } = this.desk;
    const host = { ...parts, name: 'under-test', clock: realClock, credentials: lendsNothing, homeDir: folder, env };
    return create(keychainDefinition.providerSchema.parse({}), host);
  }

  async store(name: string, content: unknown): Promise<unknown> {
    await this.rotate(name, content);
    return keychainDefinition.credentialSchema.parse({ item: name });
  }

  async rotate(name: string, content: unknown): Promise<void> {
    await this.#ask('store', name, String(content));
  }

  async remove(name: string): Promise<void> {
    await this.#ask('remove', name);
  }

  async #ask(action: 'store' | 'remove', account: string, secret = ''): Promise<void> {
    const reply = await askAt(this.desk)?.({ action, service: ITEMS_SERVICE, account, secret, mayStart: false });
    if (reply?.outcome !== 'done') throw new Error(`the keyring did not ${action}: ${JSON.stringify(reply)}`);
  }
}
