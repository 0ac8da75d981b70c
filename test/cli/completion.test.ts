import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PROGRAM } from '../fakes/daemon-process.ts';
import { shellWord } from '../fakes/processes.ts';
import { BrokerTerminal, hasTmux } from '../fakes/tmux.ts';

/** The line editor of each shell, with nothing of the machine's own configuration. */
interface Shell {
  readonly program: string;
  readonly args: readonly string[];
  /** Where a person puts what `broker completion` prints; `setup` is what stands in the shell's own file. */
  readonly script: string;
  readonly rc: string;
  readonly setup: string;
}

const SHELLS: readonly Shell[] = [
  {
    program: 'bash',
    args: ['--noprofile', '-i'],
    script: '.broker-completion',
    rc: '.bashrc',
    setup: "source ~/.broker-completion\nbind 'set show-all-if-ambiguous on'\nPS1='$ '\n",
  },
  {
    program: 'zsh',
    args: ['-d', '-i'],
    script: 'functions/_broker',
    rc: '.zshrc',
    setup: "fpath=(~/functions $fpath)\nautoload -Uz compinit && compinit -u -D\nPS1='$ '\n",
  },
  {
    program: 'fish',
    args: ['-i'],
    script: '.config/fish/completions/broker.fish',
    rc: '.config/fish/config.fish',
    setup: "function fish_prompt; echo -n '$ '; end\nset -g fish_greeting\nset -g fish_autosuggestion_enabled 0\n",
  },
];

const canType = hasTmux();

describe.each(SHELLS)('$program in its line editor', ({ program, args, script, rc, setup }) => {
  const present = spawnSync(program, ['--version']).status === 0;
  if (!present) console.warn(`skipped: there is no ${program} here`);
  let home: string;
  let terminal: BrokerTerminal;

  beforeAll(() => {
    home = mkdtempSync(path.join(tmpdir(), 'broker-typing-'));
    const write = (file: string, text: string) => {
      const place = path.join(home, file);
      mkdirSync(path.dirname(place), { recursive: true });
      writeFileSync(place, text);
      return place;
    };
    const text = execFileSync(process.execPath, [PROGRAM, 'completion', program], { encoding: 'utf8' });
    // fish looks for a file of the command's name.
    for (const file of new Set([script, script.replace('broker.fish', 'broker-key.fish')])) write(file, text);
    write('.config/broker/config.toml', '[credentials.anthropic]\n[credentials.gateway]\n[providers.corp-vault]\n');
    chmodSync(write('bin/broker-key', '#!/bin/sh\n'), 0o755);
    write(rc, setup);
    // What is completed has to be a command that the shell knows.
    chmodSync(
      write('bin/broker', `#!/bin/sh\nexec ${shellWord(process.execPath)} ${shellWord(PROGRAM)} "$@"\n`),
      0o755,
    );
    write('a-file', '');
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  beforeEach(async () => {
    terminal = new BrokerTerminal();
    if (!present || !canType) return;
    const env = {
      HOME: home,
      BROKER_SOCKET: `${home}/s`,
      PATH: `${home}/bin:/usr/bin:/bin`,
      LANG: 'C.UTF-8',
      SHELL: `/bin/${program}`,
    };
    await terminal.runProgram([program, ...args], env, home);
    await terminal.until(/^\$ /m);
  });
  afterEach(() => terminal.close());

  const type = async (text: string) => {
    await terminal.type(text);
    await terminal.press('Tab');
  };

  test.skipIf(!present || !canType)('a command, whole as soon as it is the only one', async () => {
    await type('broker stat');
    await terminal.until(/^\$ broker status /m);
    await terminal.press('C-u');
    await type('broker servic');
    await terminal.until(/^\$ broker service /m);
    await type('uni');
    await terminal.until(/^\$ broker service uninstall /m);
    await type('--js');
    await terminal.until(/^\$ broker service uninstall --json/m);
  });

  test.skipIf(!present || !canType)('what may stand there, where there are several', async () => {
    await type('broker s');
    const screen = await terminal.until(/setup/);
    for (const word of ['service', 'setup', 'status']) expect(screen).toContain(word);
    expect(screen).not.toContain('rotate-key');
    expect(screen).not.toContain('a-file');
  });

  test.skipIf(!present || !canType)('values of an option', async () => {
    await type('broker service install --sandbox b');
    await terminal.until(/--sandbox basic/);
    await terminal.press('C-u');
    await type('broker completion fi');
    await terminal.until(/^\$ broker completion fish/m);
  });

  test.skipIf(!present || !canType)('names that the configuration has, and pages, for broker-key too', async () => {
    await type('broker get gate');
    await terminal.until(/^\$ broker get gateway/m);
    await terminal.press('C-u');
    await type('broker login cor');
    await terminal.until(/^\$ broker login corp-vault/m);
    await terminal.press('C-u');
    await type('broker help config');
    await terminal.until(/^\$ broker help config(?:uration)?/m);
    await terminal.press('C-u');
    await type('broker-key anth');
    await terminal.until(/^\$ broker-key anthropic/m);
    await type('--format hea');
    await terminal.until(/^\$ broker-key anthropic --format headers/m);
  });
});
