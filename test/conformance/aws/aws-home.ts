import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lendsNothing, type ProviderHost } from '../../../src/providers/provider.ts';
import { realClock } from '../../fakes/real-clock.ts';
import type { ConnectParts } from '../provider-harness.ts';

export const PROFILE = 'conformance';

/** A home folder with a profile of its own, so that neither this machine's login nor its metadata service is asked. */
export class AwsHome {
  #folder = '';

  get folder(): string {
    return this.#folder;
  }

  get env(): Readonly<Record<string, string>> {
    return {
      AWS_CONFIG_FILE: join(this.#folder, 'config'),
      AWS_SHARED_CREDENTIALS_FILE: join(this.#folder, 'credentials'),
    };
  }

  async create(accessKeyId: string, secretAccessKey: string): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'broker-aws-'));
    await this.writeCredentials(
      `[${PROFILE}]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
    );
    await this.writeConfig(`[profile ${PROFILE}]\nregion = us-east-1\n`);
  }

  async writeCredentials(text: string): Promise<void> {
    await writeFile(join(this.#folder, 'credentials'), text, { mode: 0o600 });
  }

  async writeConfig(text: string): Promise<void> {
    await writeFile(join(this.#folder, 'config'), text, { mode: 0o600 });
  }

  host(parts: ConnectParts): ProviderHost {
    return {
      ...parts,
      name: 'under-test',
      clock: realClock,
      credentials: lendsNothing,
      homeDir: this.#folder,
      env: this.env,
    };
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
