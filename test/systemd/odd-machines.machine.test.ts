import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { helperPath } from '../../src/platform/native.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
/** In no user database. */
const UID = 54_322;
const NODE = process.execPath;
const BROKER = path.join(ROOT, 'bin', 'broker.mjs');
const CONFIG = `default = "key"
[providers.command]
type = "exec"
[credentials.key]
provider = "command"
command = ["echo", "sk-odd"]
`;
/** The daemon, the helper, the status, and the line for the client as the client runs it; one word for each. */
const SCRIPT = `
cd /
"$NODE" "$BROKER" daemon 2>"$HOME/log" &
tries=0
until "$HELPER" >"$HOME/key" 2>/dev/null || [ $tries -gt 200 ]; do tries=$((tries + 1)); sleep 0.05; done
cat "$HOME/key"
"$NODE" "$BROKER" status
"$NODE" "$BROKER" claude install >/dev/null
line=$(sed -n 's/.*"apiKeyHelper": *"\\(.*\\)".*/\\1/p' "$HOME/.claude/settings.json")
/bin/sh -c "$line" | sed 's/^/as the client runs it: /'
kill %1
`;

/** As a user without rights, after root has made the machine odd in a mount namespace. */
function onMachine(oddity: string, name = 'home') {
  const home = path.join(mkdtempSync('/srv/broker-odd-'), name);
  mkdirSync(home);
  chmodSync(path.dirname(home), 0o755);
  const script = path.join(path.dirname(home), 'script');
  const file = path.join(path.dirname(home), 'config.toml');
  writeFileSync(file, CONFIG, { mode: 0o600 });
  writeFileSync(script, SCRIPT, { mode: 0o644 });
  // Not /tmp/broker-UID, which outlives the test.
  const runtime = path.join(path.dirname(home), 'run');
  mkdirSync(runtime, { mode: 0o700 });
  for (const each of [home, file, runtime]) chownSync(each, UID, UID);
  const as = `setpriv --reuid=${UID} --regid=${UID} --clear-groups --inh-caps=-all`;
  const variables = {
    XDG_RUNTIME_DIR: runtime,
    HOME: home,
    PATH: '/usr/bin:/bin',
    NODE,
    BROKER,
    HELPER: helperPath() ?? '',
    BROKER_CONFIG: file,
  };
  const command = `${oddity}\nexec ${as} /bin/bash ${script}`;
  const within = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '/bin/bash', '-ec', command];
  const ended = spawnSync('unshare', within, { encoding: 'utf8', env: { ...variables, ODD_HOME: home } });
  const log = quietly(() => readFileSync(path.join(home, 'log'), 'utf8'));
  rmSync(path.dirname(home), { recursive: true, force: true });
  return { ...ended, log };
}

function quietly(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}

describe.each([
  ['the processes of others are hidden (hidepid)', 'mount -o remount,hidepid=2 /proc'],
  ['there is no /proc', 'mount -t tmpfs none /proc'],
  ['the home is mounted noexec', `mount -t tmpfs -o noexec,mode=700,uid=${UID} none "$ODD_HOME"`],
])('where %s', (_, oddity) => {
  test('the helper prints the key, all is well, and the line for the client works', () => {
    const { stdout, stderr, log } = onMachine(oddity);
    expect(stdout, stderr + log).toContain('sk-odd\nAll is well.');
    expect(stdout, stderr + log).toContain('as the client runs it: sk-odd');
  });
});

test('a home of 200 characters, with spaces and quotes, is a home', () => {
  const { stdout, stderr, log } = onMachine('true', `it's a "home" ${'o'.repeat(186)}`);
  expect(stdout, stderr + log).toContain('sk-odd\nAll is well.');
});
