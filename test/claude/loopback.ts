import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Impossible } from './impossible.ts';

/** With CAP_SYS_ADMIN; else in a user namespace, where that is allowed to everybody. */
const WAYS_IN = [['--net'], ['--user', '--map-root-user', '--net']] as const;

/** SIOCSIFFLAGS with IFF_UP on `lo`: a small Debian has perl, but not always `ip`. */
const PERL = [
  'use Socket',
  'socket(my $s, PF_INET, SOCK_DGRAM, 0) or die',
  'my $up = pack("a16 s x22", "lo", 0x41)',
  'ioctl($s, 0x8914, $up) or die',
].join('; ');

const SCRIPT = `ip link set lo up 2>/dev/null || perl -e '${PERL}' || exit 1; exec "$@"`;

/** How a command is started in a network namespace with nothing in it but loopback. */
export class LoopbackOnly {
  readonly #flags: readonly string[];

  private constructor(flags: readonly string[]) {
    this.#flags = flags;
  }

  /** @throws Impossible where there are no such namespaces. */
  static find(): LoopbackOnly {
    if (process.platform !== 'linux') throw new Impossible(`there are no network namespaces on ${process.platform}`);
    // Seen from within: the interface is up, and there is no other.
    const check = 'const names = Object.keys(os.networkInterfaces()); process.exit(String(names) === "lo" ? 0 : 1)';
    for (const flags of WAYS_IN) {
      const { status } = spawnSync('unshare', [...flags, ...inShell([process.execPath, '-e', check])], {
        timeout: 20_000,
      });
      if (status === 0) return new LoopbackOnly(flags);
    }
    throw new Impossible('`unshare --net` is not allowed here, so the client could reach a network');
  }

  /** Resolves with the exit code. */
  async run(command: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
    const child = spawn('unshare', [...this.#flags, ...inShell(command)], {
      stdio: 'inherit',
      env: { ...process.env, ...env },
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  }
}

function inShell(command: readonly string[]): readonly string[] {
  return ['sh', '-c', SCRIPT, 'sh', ...command];
}
