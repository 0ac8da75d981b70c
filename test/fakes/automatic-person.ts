import { SecretBytes } from '../../src/credential/secret.ts';
import type { FactorChoice, LoginDialogue } from '../../src/providers/provider.ts';

/** A person who opens every page at once, follows where it leads, and types what they were given. */
export class AutomaticPerson implements LoginDialogue {
  readonly canAskAgain = true;
  readonly heard: string[] = [];
  readonly visits: Promise<{ status: number; text: string }>[] = [];
  readonly #password: string;
  readonly #passcodes: string[];

  /** `passcodes`: typed one after the other. */
  constructor(password = '', passcodes: readonly string[] = []) {
    this.#password = password;
    this.#passcodes = [...passcodes];
  }

  say(text: string): void {
    this.heard.push(text);
  }

  async askPassword(question: string): Promise<SecretBytes> {
    this.heard.push(question);
    return SecretBytes.fromString(this.#password);
  }

  async askPasscode(question: string): Promise<SecretBytes> {
    this.heard.push(question);
    return SecretBytes.fromString(this.#passcodes.shift() ?? '');
  }

  /** Takes the last one. */
  async chooseFactor(question: string, choices: readonly FactorChoice[]): Promise<FactorChoice> {
    this.heard.push(`${question} ${choices.map(({ name }) => name).join(', ')}`);
    const last = choices.at(-1);
    if (last === undefined) throw new Error('nothing to choose from');
    return last;
  }

  async showPage(address: string): Promise<void> {
    this.heard.push(address);
    this.visits.push(visit(address));
  }
}

/** Opens a page, follows where it leads, and presses OpenBao's button that asks whether they wanted this. */
async function visit(address: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(address);
  const text = await answer.text();
  if (!text.includes('confirm-button')) return { status: answer.status, text };
  const confirmed = await fetch(`${answer.url}&confirmation=1`);
  return { status: confirmed.status, text: await confirmed.text() };
}

/** Somebody who reads along on standard error and opens the first address of a login page that is shown, once. */
export function pageReader() {
  let visited: ReturnType<typeof visit> | undefined;
  return {
    page: async () => (await visited)?.text,
    onStderr: (text: string) => {
      const address = /https?:\/\/\S+\/v1\/dev\/oidc\/page\S+(?=\n)/.exec(text)?.[0];
      if (address !== undefined) visited ??= visit(address);
    },
  };
}
