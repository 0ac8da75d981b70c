import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { FailureKind } from '../../../src/errors.ts';
import { execDefinition } from '../../../src/providers/exec/options.ts';
import { lendsNothing, type Provider } from '../../../src/providers/provider.ts';
import { realClock } from '../../fakes/real-clock.ts';
import type { ConnectParts, Fault, InjectedFault, ProviderHarness, StoredContent } from '../provider-harness.ts';

/** A command-line tool as they are: it prints a secret by its name, or fails in the way that the file `mode` names. */
const SCRIPT = `#!/bin/sh
cd "$(dirname "$0")" || exit 1
mode=$(cat mode 2>/dev/null)
[ -z "$mode" ] || : > reached
case "$mode" in
unavailable) echo "cannot reach the server with token CANARY" >&2; exit 1 ;;
denied) echo "CANARY has no access" >&2; exit 13 ;;
login-expired) printf '\\033[31mERROR:\\033[0m session CANARY expired. Please run:\\n  gcloud auth login\\n' >&2; exit 1 ;;
oversized) yes CANARY ;;
hang) exec sleep 600 ;;
slow-drip) while :; do printf ' '; sleep 0.05; done ;;
esac
cat "store/$1"
`;

export class ExecHarness implements ProviderHarness {
  readonly capabilities = {
    contents: ['text', 'json'] as const,
    versions: false,
    serverTime: false,
    // An exit status says nothing about why, so a key is never dropped for it.
    missing: 'transient' as FailureKind,
    leases: false,
    logins: false,
  };
  #folder = '';

  readonly faults: Partial<Record<Fault, () => Promise<InjectedFault>>> = {
    ...Object.fromEntries(
      (['unavailable', 'denied', 'login-expired', 'oversized', 'hang', 'slow-drip'] as const).map((mode) => [
        mode,
        () => this.#inject(mode),
      ]),
    ),
    misconfigured: () => this.#hideProgram(),
  };

  get #program(): string {
    return join(this.#folder, 'vendor-cli');
  }

  async start(canary: string): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'broker-exec-'));
    await mkdir(join(this.#folder, 'store'));
    await writeFile(this.#program, SCRIPT.replaceAll('CANARY', canary), { mode: 0o700 });
  }

  async stop(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async connect(parts: ConnectParts): Promise<Provider> {
    const create = await execDefinition.load();
    const options = execDefinition.providerSchema.parse({ command: [this.#program], denied_status: [13] });
    const env = { PATH: process.env['PATH'] };
    return create(options, {
      ...parts,
      name: 'under-test',
      clock: realClock,
      homeDir: this.#folder,
      env,
      credentials: lendsNothing,
    });
  }

  async store(name: string, content: StoredContent): Promise<unknown> {
    await this.rotate(name, content);
    return execDefinition.credentialSchema.parse({ args: [name] });
  }

  async rotate(name: string, content: StoredContent): Promise<void> {
    const text = typeof content === 'string' ? `${content}\n` : JSON.stringify(content);
    await writeFile(join(this.#folder, 'store', name), text);
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.#folder, 'store', name));
  }

  async #inject(mode: string): Promise<InjectedFault> {
    const [file, reached] = [join(this.#folder, 'mode'), join(this.#folder, 'reached')];
    await writeFile(file, mode);
    let cleared = false;
    return {
      reached: untilTrue(() => cleared || existsSync(reached)),
      async clear() {
        cleared = true;
        await rm(file, { force: true });
        await rm(reached, { force: true });
      },
    };
  }

  async #hideProgram(): Promise<InjectedFault> {
    const hidden = `${this.#program}.hidden`;
    await rename(this.#program, hidden);
    return { reached: Promise.resolve(), clear: () => rename(hidden, this.#program) };
  }
}

async function untilTrue(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(5);
}
