import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KeyEncryptionKey } from '../../../src/crypto/envelope.ts';
import { KekFile } from '../../../src/crypto/kek-file.ts';
import { KekKeyring } from '../../../src/crypto/kek-keyring.ts';
import { newKek } from '../../../src/crypto/kek-store.ts';
import { describeTrouble, type KeyringRequest, trouble } from '../../../src/platform/keyring.ts';
import { excludeFromBackups, hasTeamIdentifier } from '../../../src/platform/macos.ts';
import { temporaryFolder } from '../../fakes/cache.ts';

/** As codesign(1) writes it, on standard error. */
const signature = (team: string) => `Executable=/n/node
Identifier=node
Format=Mach-O thin (arm64)
CodeDirectory v=20500 size=1 flags=0x10000(runtime) hashes=1+7 location=embedded
Signature size=9012
TeamIdentifier=${team}
Runtime Version=15.0.0
`;

function tool(words: string): string {
  const file = join(temporaryFolder(), 'tool');
  writeFileSync(file, `#!/bin/sh\n${words}\n`, { mode: 0o755 });
  return file;
}

it.each([
  ['a Node of its makers', `cat >&2 <<'E'\n${signature('HX7739G8FX')}E`, true],
  ['an ad-hoc signature of Homebrew or Nix', `cat >&2 <<'E'\n${signature('not set')}E`, false],
  ['no signature', 'echo "/n/node: code object is not signed at all" >&2; exit 1', false],
  ['no codesign', 'exit 127', false],
])('%s has a team identifier: %s', (_, words, expected) => {
  expect(hasTeamIdentifier('/n/node', tool(words))).toBe(expected);
});

it('the key file is excluded from backups, each time it is written', async () => {
  const folder = temporaryFolder();
  const written: string[] = [];
  const home = new KekFile(folder, true, (path) => written.push(path));
  await home.add(KeyEncryptionKey.ephemeral());
  await home.add(KeyEncryptionKey.ephemeral());
  expect(written).toEqual([join(folder, 'kek'), join(folder, 'kek')]);
  const [log, kek] = [join(folder, 'log'), join(folder, 'kek')];
  excludeFromBackups(kek, tool(`echo "$@" > '${log}.new'; mv '${log}.new' '${log}'`));
  await expect.poll(() => existsSync(log)).toBe(true);
  expect(readFileSync(log, 'utf8')).toBe(`addexclusion ${kek}\n`);
  expect(() => excludeFromBackups(kek, '/nonexistent/tmutil')).not.toThrow();
});

it('a Keychain that would ask after every upgrade of Node is passed over for the file, unless a person chose it', async () => {
  const asked: KeyringRequest[] = [];
  const keyring = new KekKeyring({
    ask: async (request) => {
      asked.push(request);
      return { outcome: 'done' };
    },
    platform: 'darwin',
    isForNewKeys: true,
    objection: () => trouble('no-team'),
  });
  const found = await newKek([keyring, new KekFile(temporaryFolder())]);
  expect(found).toMatchObject({ state: 'reachable', home: { kind: 'file' } });
  expect(asked).toEqual([]);
  expect(await keyring.add(KeyEncryptionKey.ephemeral(), { byPerson: true })).toBeUndefined();
  // Only then may a dialogue be shown, and only then it is waited for.
  expect(asked).toMatchObject([{ action: 'store', byPerson: true }]);
});

it('has no words of Linux for a Mac', () => {
  const kinds = ['no-team', 'locked', 'silent', 'failed'] as const;
  const said = kinds.map((why) => describeTrouble('macOS Keychain', trouble(why)));
  expect(JSON.stringify(said)).not.toMatch(/journalctl|seahorse|D-Bus/);
  expect(said.map(({ remedy }) => remedy)).toContain('Run this, over SSH as well: security unlock-keychain');
});
