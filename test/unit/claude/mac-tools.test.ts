import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readAllSettings } from '../../../src/claude/settings/files.ts';
import { macTools } from '../../../src/claude/settings/mac-tools.ts';
import { TemporaryHome } from './home.ts';
import { installMacPrograms, KEYCHAIN } from './mac-programs.ts';

/** Python's plistlib reads and writes what plutil does, in both of its forms. */
const PYTHON = (() => {
  try {
    return execFileSync('/bin/sh', ['-c', 'command -v python3'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
})();

const HELPER = '/usr/local/bin/broker-key';

describe.skipIf(PYTHON === undefined)('a profile of an MDM', () => {
  test.each(['FMT_XML', 'FMT_BINARY'])('%s', (format) => {
    using home = new TemporaryHome();
    const program = 'import json,plistlib,sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)';
    home.write('programs/plutil', `#!/bin/sh\nexec '${PYTHON}' -c '${program}'\n`, 0o755);
    const settings = `{"apiKeyHelper": "${HELPER}", "env": {"ANTHROPIC_BASE_URL": "https://gw.example.com"}}`;
    const write = `import plistlib,sys; sys.stdout.buffer.write(plistlib.dumps(${settings}, fmt=plistlib.${format}))`;
    const plist = execFileSync(PYTHON ?? '', ['-c', write]);
    const file = home.write('Library/Managed Preferences/com.anthropic.claudecode.plist', plist, 0o644);
    expect(readFileSync(file).subarray(0, 6).toString()).toBe(format === 'FMT_XML' ? '<?xml ' : 'bplist');
    const [found] = readAllSettings({
      homeDir: home.path('home'),
      projectDir: home.path('home/project'),
      env: { PATH: `${home.path('programs')}:/usr/bin:/bin`, USER: 'ada' },
      platform: 'darwin',
      systemRoot: home.root,
    }).filter(({ state }) => state === 'in-effect');
    expect(found).toMatchObject({ scope: 'managed', source: 'mdm-device', file, helper: { value: HELPER } });
    expect([...(found?.env ?? [])].map(([name]) => name)).toEqual(['ANTHROPIC_BASE_URL']);
  });
});

test.skipIf(process.platform === 'darwin')(
  'without the programs nothing is claimed: no property list, and a keychain that does not say',
  () => {
    using home = new TemporaryHome();
    const tools = macTools({ PATH: home.path('empty') });
    expect(tools.plistAsJson(Buffer.from('bplist00'))).toBeUndefined();
    expect(tools.hasKeychainItem('Claude Code-credentials', 'ada')).toBeUndefined();
  },
);

test('the keychain is asked for an item and never for its secret', () => {
  using home = new TemporaryHome();
  installMacPrograms(home);
  const log = home.path('asked');
  const real = readFileSync(home.path('programs/security'), 'utf8');
  home.write('programs/security', real.replace('#!/bin/sh\n', `#!/bin/sh\necho "$*" >> '${log}'\n`), 0o755);
  home.write(KEYCHAIN, 'Claude Code-credentials\tada\n');
  const tools = macTools({ PATH: `${home.path('programs')}:/usr/bin:/bin` });
  expect(tools.hasKeychainItem('Claude Code-credentials', 'ada')).toBe(true);
  expect(tools.hasKeychainItem('Claude Code-credentials', 'bob')).toBe(false);
  home.write(KEYCHAIN, 'locked\n');
  expect(tools.hasKeychainItem('Claude Code-credentials', 'ada')).toBeUndefined();
  expect(readFileSync(log, 'utf8')).not.toMatch(/(^| )-[wg]( |$)/m);
});
