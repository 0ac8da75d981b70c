/**
 * `npm run test:macos [STEP…]`: what only a Mac can show, one step after the other, each with what it is to show and what was
 * seen. Written by reading, for the first Mac that runs it; the steps that need nothing of macOS run on Linux too. docs/macos.md has
 * what is not known until then. It changes the machine (an agent, a keychain of its own) and puts everything back.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { hasTeamIdentifier } from '../../src/platform/macos.ts';
import { helperPath, loadNative, PACKAGE_ROOT } from '../../src/platform/native.ts';
import { writeLaunchRecord } from '../../src/service/unmanaged.ts';
import { BrokerHome, PROGRAM } from '../fakes/daemon-process.ts';

interface Step {
  readonly name: string;
  /** What it shows where everything is as it should be. */
  readonly shows: string;
  readonly needsMac: boolean;
  /** @returns what was seen. @throws Error what is wrong. */
  readonly run: () => Promise<string>;
}

const CONFIG = `default = "key"
[providers.command]
type = "exec"
[credentials.key]
provider = "command"
command = ["echo", "sk-seen-on-a-mac"]
`;
const LABEL = 'dev.apikey-broker';
const DOMAIN = `gui/${process.getuid?.()}`;

const STEPS: readonly Step[] = [
  {
    name: 'binaries',
    shows:
      'the programs and the addon load and run, and their signatures hold, on both architectures (the other one under Rosetta)',
    needsMac: true,
    run: async () => {
      const seen: string[] = [];
      for (const arch of readdirSync(path.join(PACKAGE_ROOT, 'prebuilds')).filter((name) =>
        name.startsWith('darwin-'),
      )) {
        const folder = path.join(PACKAGE_ROOT, 'prebuilds', arch);
        const as = arch.endsWith('x64') ? ['-x86_64'] : ['-arm64'];
        for (const program of ['broker-key', 'broker-run'])
          seen.push(`${arch}: ${told('arch', ...as, path.join(folder, program), '--version')}`);
        for (const file of readdirSync(folder))
          seen.push(
            `${file}: ${told('codesign', '--verify', '--verbose', path.join(folder, file)) || 'signature holds'}`,
          );
      }
      require(loadNative() !== undefined, 'the addon does not load');
      return seen.join('; ');
    },
  },
  {
    name: 'peers-that-left',
    shows: 'a thousand peers that are gone before they are accepted do not end the daemon',
    needsMac: false,
    run: () =>
      withDaemon(async (home) => {
        let refused = 0;
        for (let count = 0; count < 1_000; count += 100) {
          process.kill(home.lastPid, 'SIGSTOP');
          const peers = Array.from({ length: 100 }, () => connect(home.socket).on('error', () => (refused += 1)));
          await pause(20);
          for (const peer of peers) peer.destroy();
          process.kill(home.lastPid, 'SIGCONT');
          await pause(20);
        }
        const { stdout } = await home.key();
        require(stdout === 'sk-seen-on-a-mac\n', 'the daemon does not answer any more');
        return `1,000 came and left (${refused} were refused by a full queue); the daemon answers`;
      }),
  },
  {
    name: 'blocked-loop',
    shows: '300 helpers at once, while the daemon hangs for a second, all print the key: a full queue refuses on macOS',
    needsMac: false,
    run: () =>
      withDaemon(async (home) => {
        process.kill(home.lastPid, 'SIGSTOP');
        const asked = Array.from({ length: 300 }, () => home.key());
        await pause(1_000);
        process.kill(home.lastPid, 'SIGCONT');
        const ended = await Promise.all(asked);
        const failed = ended.filter(({ code }) => code !== 0);
        require(failed.length === 0, `${failed.length} of 300 failed: ${failed[0]?.stderr}`);
        return 'all 300 printed the key';
      }),
  },
  {
    name: 'autostart-storm',
    shows: 'a hundred helpers with no daemon start one, and all print the key',
    needsMac: false,
    run: async () => {
      const home = new BrokerHome(CONFIG);
      try {
        // Records how the daemon is started, in a home of its own.
        const { BROKER_CONFIG = '', BROKER_STATE_DIR = '', BROKER_SOCKET = '' } = home.env;
        const env = { BROKER_CONFIG, BROKER_STATE_DIR, BROKER_SOCKET };
        const run = [process.execPath, PROGRAM, 'daemon'];
        mkFolder(home.stateDir);
        writeLaunchRecord(home.stateDir, { run, env, service: undefined, autostart: true });
        const ended = await Promise.all(Array.from({ length: 100 }, () => home.key()));
        const failed = ended.filter(({ code }) => code !== 0);
        require(failed.length === 0, `${failed.length} of 100 failed: ${failed[0]?.stderr}`);
        const { daemon } = JSON.parse((await home.broker('status', '--json')).stdout) as { daemon: { pid: number } };
        process.kill(daemon.pid, 'SIGTERM');
        return `one daemon, pid ${daemon.pid}, and 100 keys`;
      } finally {
        await home.close();
      }
    },
  },
  {
    name: 'clocks',
    shows: 'of the clocks side by side only the time awake stands still in sleep; over two seconds awake all run alike',
    needsMac: false,
    run: async () => {
      const native = loadNative();
      require(native !== undefined, 'the addon does not load');
      const read = () => [performance.now(), native?.bootTimeMs() ?? 0, native?.awakeTimeMs() ?? 0];
      const before = read();
      await pause(2_000);
      const passed = read().map((now, at) => Math.round(now - (before[at] ?? 0)));
      require(Math.max(...passed) - Math.min(...passed) < 50, `they ran apart: ${passed.join(', ')} ms`);
      const asleep = Math.round((before[1] ?? 0) - (before[2] ?? 0));
      return `hrtime, boot, awake: ${passed.join(', ')} ms; asleep since boot: ${asleep} ms`;
    },
  },
  {
    name: 'places',
    shows:
      'the socket lies in the user’s own temporary folder, 0600 in a folder 0700, found by a helper without any variable',
    needsMac: true,
    run: async () => {
      const folder = loadNative()?.userTempFolder() ?? '';
      require(path.isAbsolute(folder), `confstr says ${JSON.stringify(folder)}`);
      const socket = path.join(folder, 'broker', 'broker.sock');
      return withAgent(CONFIG, async () => {
        const [mode, above] = [socket, path.dirname(socket)].map((file) => (statSync(file).mode & 0o777).toString(8));
        require(mode === '600' && above === '700', `modes ${mode} in ${above}`);
        const said = told('/usr/bin/env', '-i', `HOME=${homedir()}`, helperPath() ?? '');
        require(said === 'sk-seen-on-a-mac', said);
        return `${Buffer.byteLength(socket)} of 103 bytes, modes ${mode} in ${above}`;
      });
    },
  },
  {
    name: 'service',
    shows: 'from install to uninstall launchctl answers with the exit codes that src/service/launchd.ts knows',
    needsMac: true,
    run: () =>
      withAgent(CONFIG, async () => {
        const target = `${DOMAIN}/${LABEL}`;
        const code = (...args: string[]) => spawnSync('launchctl', args).status;
        const seen = {
          loaded: code('print', target),
          again: code('kickstart', target),
          missing: code('print', `${target}.no`),
          noDomain: code('print', 'gui/1'),
        };
        require(seen.loaded === 0, `print exits ${seen.loaded} for a loaded agent`);
        require([3, 113].includes(seen.missing ?? -1), `print exits ${seen.missing} for one that is not loaded`);
        require([112, 125].includes(seen.noDomain ?? -1), `print exits ${seen.noDomain} without a login`);
        told('launchctl', 'disable', target);
        const disabled = told('launchctl', 'print-disabled', DOMAIN)
          .split('\n')
          .find((line) => line.includes(LABEL));
        told('launchctl', 'enable', target);
        require(/=> (disabled|true)/.test(disabled ?? ''), `print-disabled says ${disabled}`);
        return JSON.stringify({ ...seen, disabled: disabled?.trim() });
      }),
  },
  {
    name: 'broken-configuration',
    shows: 'an agent with a faulty configuration is started once, and not every five seconds',
    needsMac: true,
    run: async () => {
      const runs = () => /^\s*runs = (\d+)$/m.exec(told('launchctl', 'print', `${DOMAIN}/${LABEL}`))?.[1] ?? '?';
      return withAgent(`${CONFIG}[daemon]\nturn_margim = "2m"\n`, async () => {
        const before = runs();
        await pause(60_000);
        require(runs() === before, `runs went from ${before} to ${runs()} in a minute`);
        return `runs = ${before} after a minute`;
      });
    },
  },
  {
    name: 'keychain',
    shows:
      'a value is stored in and read from a keychain of its own; locked, it is told as locked and no dialogue appears',
    needsMac: true,
    run: async () => {
      const file = path.join(mkdtempSync(path.join(tmpdir(), 'broker-keychain-')), 'test.keychain-db');
      const before = told('security', 'default-keychain').replaceAll('"', '');
      const config =
        'default = "k"\n[providers.desk]\ntype = "keychain"\n[credentials.k]\nprovider = "desk"\nitem = "k"\n';
      told('security', 'create-keychain', '-p', 'test', file);
      told('security', 'default-keychain', '-s', file);
      told('security', 'unlock-keychain', '-p', 'test', file);
      const home = new BrokerHome(config);
      try {
        await home.start();
        const stored = await home.brokerWith({ input: 'sk-in-the-keychain\n' }, 'set', 'k');
        require(stored.code === 0, stored.stderr);
        const read = await home.key();
        require(read.stdout === 'sk-in-the-keychain\n', read.stderr);
        told('security', 'lock-keychain', file);
        const started = Date.now();
        const locked = await home.broker('refresh', 'k');
        require(locked.stderr.includes('locked'), locked.stderr);
        return `stored, read, and locked after ${Date.now() - started} ms: ${locked.stderr.split('\n')[0]}`;
      } finally {
        await home.close();
        told('security', 'default-keychain', '-s', before);
        told('security', 'delete-keychain', file);
      }
    },
  },
  {
    name: 'signatures-of-node',
    shows: 'a Node of nodejs.org has a team identifier; the same signed ad hoc, as Homebrew and Nix do, has none',
    needsMac: true,
    run: async () => {
      const copy = path.join(mkdtempSync(path.join(tmpdir(), 'broker-node-')), 'node');
      copyFileSync(process.execPath, copy);
      told('codesign', '--force', '--sign', '-', copy);
      const seen = [process.execPath, copy].map((file) => hasTeamIdentifier(file));
      rmSync(path.dirname(copy), { recursive: true });
      require(seen[1] === false, 'an ad-hoc signature passes for one with a team');
      return `this Node: ${seen[0]}; signed ad hoc: ${seen[1]}`;
    },
  },
  {
    name: 'watched-configuration',
    shows: 'a configuration that is replaced by a rename, and one behind a link, is taken over within seconds',
    needsMac: false,
    run: () =>
      withDaemon(async (home) => {
        const next = (key: string) => CONFIG.replace('sk-seen-on-a-mac', key);
        const took: number[] = [];
        const takenOver = async (key: string) => {
          const started = Date.now();
          for (let tries = 0; tries < 200; tries += 1) {
            if ((await home.key()).stdout === `${key}\n`) {
              took.push(Date.now() - started);
              return;
            }
            await pause(50);
          }
          throw new Error(`${key} was not taken over within ten seconds`);
        };
        writeFileSync(`${home.configFile}.new`, next('sk-renamed'), { mode: 0o600 });
        renameSync(`${home.configFile}.new`, home.configFile);
        await takenOver('sk-renamed');
        const elsewhere = path.join(mkFolder(path.join(home.folder, 'dotfiles')), 'config.toml');
        writeFileSync(elsewhere, next('sk-linked'), { mode: 0o600 });
        symlinkSync(elsewhere, `${home.configFile}.link`);
        renameSync(`${home.configFile}.link`, home.configFile);
        await takenOver('sk-linked');
        writeFileSync(elsewhere, next('sk-behind-the-link'), { mode: 0o600 });
        await takenOver('sk-behind-the-link');
        return `after ${took.join(', ')} ms`;
      }),
  },
  {
    name: 'case-insensitive-home',
    shows: 'HOME written in other letters is the same home: one daemon, one state folder',
    needsMac: true,
    run: () =>
      withAgent(CONFIG, async () => {
        const other = homedir().replace('/Users/', '/users/');
        if (!existsSync(other)) return 'this volume tells capitals apart';
        const status = (home: string) =>
          JSON.parse(told('/usr/bin/env', `HOME=${home}`, process.execPath, PROGRAM, 'status', '--json')) as {
            daemon: { pid: number };
          };
        const pids = [homedir(), other].map((home) => status(home).daemon.pid);
        require(pids[0] === pids[1], `two daemons: ${pids.join(', ')}`);
        return `pid ${pids[0]} for both`;
      }),
  },
];

await main(process.argv.slice(2));

async function main(wanted: readonly string[]): Promise<void> {
  const unknown = wanted.find((name) => !STEPS.some((step) => step.name === name));
  if (unknown !== undefined)
    throw new Error(`there is no step ${unknown}: ${STEPS.map(({ name }) => name).join(', ')}`);
  let failures = 0;
  for (const { name, shows, needsMac, run } of STEPS) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    if (needsMac && process.platform !== 'darwin') {
      console.log(`skipped ${name}: this is not macOS`);
      continue;
    }
    console.log(`${name}: ${shows}`);
    try {
      console.log(`  ok: ${await run()}`);
    } catch (error) {
      failures += 1;
      console.log(`  FAILED: ${error instanceof Error ? error.message : error}`);
    }
  }
  process.exitCode = failures === 0 ? 0 : 1;
}

function require(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}

/** What a program says on either output, without the newline; the exit code does not matter here. */
function told(program: string, ...args: string[]): string {
  const { stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  return error?.message ?? `${stdout}${stderr}`.trim();
}

function mkFolder(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

async function withDaemon(work: (home: BrokerHome) => Promise<string>): Promise<string> {
  const home = new BrokerHome(CONFIG);
  try {
    await home.start();
    return await work(home);
  } finally {
    await home.close();
  }
}

/** In the account that runs this: a configuration that is there already is put back. */
async function withAgent(config: string, work: () => Promise<string>): Promise<string> {
  const file = path.join(homedir(), '.config', 'broker', 'config.toml');
  const kept = `${file}.before-test`;
  mkFolder(path.dirname(file));
  if (existsSync(file)) renameSync(file, kept);
  writeFileSync(file, config, { mode: 0o600 });
  const service = (verb: string) =>
    new Promise<void>((resolve) => {
      spawn(process.execPath, [PROGRAM, 'service', verb], { stdio: 'inherit' }).once('exit', () => resolve());
    });
  try {
    await service('install');
    return await work();
  } finally {
    await service('uninstall');
    rmSync(file);
    if (existsSync(kept)) renameSync(kept, file);
  }
}
