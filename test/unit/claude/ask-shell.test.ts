import { expect, test } from 'vitest';
import { askShell } from '../../../src/claude/shell/ask-shell.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { TemporaryHome } from './home.ts';
import { runDoctor } from './run-doctor.ts';

const KEY = 'sk-ant-api03-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

async function doctor(home: TemporaryHome, env: Record<string, string> = {}) {
  home.write('bin/broker-key', `#!/bin/sh\necho ${KEY}\n`, 0o755);
  home.write('.claude/settings.json', JSON.stringify({ apiKeyHelper: `${home.path('bin/broker-key')} anthropic` }));
  const { out } = await runDoctor(home, ['--run-shell', '--json'], { SHELL: '/bin/bash', ...env });
  expect(out).not.toContain('AAAA');
  return JSON.parse(out);
}

const found = (report: { findings: { id: string; severity: string; title: string }[] }) =>
  report.findings.filter(({ severity }) => severity !== 'info').map(({ id }) => id);

test('the shell decides what the text of a profile leaves open', async () => {
  using home = new TemporaryHome();
  const guarded = (test: string) => home.write('.bashrc', `if ${test}; then export ANTHROPIC_API_KEY=${KEY}; fi\n`);
  guarded('command -v sh >/dev/null');
  const report = await doctor(home);
  expect(found(report)).toEqual(['profile-overrides-helper']);
  expect(report.findings[0].title).not.toContain('condition');
  expect(report.shell).toEqual({ program: '/bin/bash', outcome: 'answered', exports: ['ANTHROPIC_API_KEY'] });
  guarded('command -v no-such-program-anywhere >/dev/null');
  expect(found(await doctor(home))).toEqual([]);
});

test('it also says what no text explains', async () => {
  using home = new TemporaryHome();
  home.write('.bashrc', 'eval "$(cat ~/vault)"\necho welcome\n');
  home.write('vault', `export ANTHROPIC_AUTH_TOKEN=${KEY}\nexport CLAUDE_CODE_USE_BEDROCK=1\n`);
  const report = await doctor(home);
  expect(found(report)).toEqual(['shell-exports', 'shell-exports']);
  expect(report.findings[0].remedy).toContain(`${home.path('.bashrc')}:1`);
});

test('it gets nothing of this environment but what a login gives it, and no terminal', async () => {
  using home = new TemporaryHome();
  home.write(
    '.bashrc',
    '[ -t 0 ] || [ -t 1 ] || { : </dev/tty; } 2>/dev/null || export CLAUDE_CODE_SIMPLE=no-terminal\n',
  );
  const { shell } = await doctor(home, { ANTHROPIC_BASE_URL: 'https://gw.example.com', FOO: '1' });
  expect(shell.exports).toEqual(['CLAUDE_CODE_SIMPLE']);
});

test('a shell that waits is ended, one that is not known is not started, one that ends early is told', async () => {
  using home = new TemporaryHome();
  const ask = (program: string) =>
    askShell({ program, env: {}, homeDir: home.root, clock: realClock, limitMs: 300 }).then(({ outcome }) => outcome);
  home.write('.bashrc', 'sleep 60\n');
  expect(await ask('/bin/bash')).toBe('late');
  home.write('.bashrc', 'exec true\n');
  expect(await ask('/bin/bash')).toBe('failed');
  expect(await ask('/usr/bin/nu')).toBe('unknown shell');
  expect(await ask('/nowhere/zsh')).toBe('failed');
});
