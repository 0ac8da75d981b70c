import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Machine, root, version } from './binaries.ts';
import { type BinaryFacts, inspect } from './inspect.ts';
import { hasUuid, signatureFaults } from './signature.ts';

export interface Examined {
  /** From the root of the project. */
  readonly file: string;
  readonly facts: BinaryFacts;
  readonly kiB: number;
  readonly limitKiB: number;
  /** How it was run, or that it was not. */
  readonly tried: string;
  readonly faults: readonly string[];
}

/** arm64's pages of 16 kB are what makes the difference on macOS. */
const LIMITS_KIB: Readonly<Record<string, number>> = {
  'linux/broker-key': 40,
  'linux/broker-run': 24,
  'linux/broker.node': 28,
  'darwin/broker-key': 96,
  'darwin/broker-run': 64,
  // Pages of 16 KiB on arm64.
  'darwin/broker.node': 96,
};
/** Node 22 itself runs on nothing older. */
const OLDEST_GLIBC = 28;
const OLDEST_MACOS = 11;
const LOADED_BY = 'napi_register_module_v1';

/** Looks into a binary, and runs it where that can be done: here, or under qemu-user. */
export function examine(target: string, machine: Machine, isHere: boolean): Examined {
  const bytes = readFileSync(target);
  const facts = inspect(bytes);
  const name = path.basename(target);
  const limitKiB = LIMITS_KIB[`${machine.platform}/${name}`] ?? 0;
  const kiB = bytes.length / 1024;
  const wanted = name.endsWith('.node') ? 'library' : 'program';
  const { tried, fault } = isHere ? { tried: 'run here', fault: undefined } : emulate(target, machine, wanted);
  const checks: readonly (readonly [isFaulty: boolean, fault: string])[] = [
    [facts.platform !== machine.platform || facts.arch !== machine.arch, `it is for ${facts.platform}-${facts.arch}`],
    [facts.kind !== wanted, `it is a ${facts.kind}`],
    [kiB > limitKiB, `it has ${kiB.toFixed(1)} KiB, ${limitKiB} are allowed`],
    [wanted === 'library' && !bytes.includes(LOADED_BY), 'Node cannot load it'],
    [wanted === 'program' && !bytes.includes(`${name} ${version}`), `it is not version ${version}`],
    [facts.platform === 'linux' && wanted === 'program' && facts.needs.length > 0, 'it is not static'],
    [facts.needs.some(isTooNew), `it needs ${facts.needs.join(', ')}`],
    ...(facts.platform === 'darwin' ? signatureFaults(bytes).map((text) => [true, text] as const) : []),
    [facts.platform === 'darwin' && !hasUuid(bytes), 'it has no LC_UUID'],
    [fault !== undefined, fault ?? ''],
  ];
  const faults = checks.filter(([isFaulty]) => isFaulty).map(([, text]) => text);
  return { file: path.relative(root, target), facts, kiB, limitKiB, tried, faults };
}

export function isTooNew(need: string): boolean {
  const [, glibc] = /^glibc 2\.(\d+)$/.exec(need) ?? [];
  const [, macOs] = /^macOS (\d+)/.exec(need) ?? [];
  return Number(glibc ?? 0) > OLDEST_GLIBC || Number(macOs ?? 0) > OLDEST_MACOS;
}

/** A static program needs nothing of its machine but the processor. */
function emulate(
  file: string,
  { platform, arch }: Machine,
  kind: string,
): { tried: string; fault: string | undefined } {
  const emulator = { arm64: 'qemu-aarch64', x64: 'qemu-x86_64' }[arch];
  if (platform !== 'linux' || kind !== 'program' || emulator === undefined)
    return { tried: 'not run', fault: undefined };
  if (spawnSync(emulator, ['--version']).status !== 0) return { tried: `not run: no ${emulator}`, fault: undefined };
  const { stdout, stderr } = spawnSync(emulator, [file, '--version'], { encoding: 'utf8' });
  const runs = stdout === `${path.basename(file)} ${version}\n`;
  return { tried: `run under ${emulator}`, fault: runs ? undefined : `it does not run: ${stderr.trim() || stdout}` };
}

/** docs/prebuilds.md. */
export function report(examined: readonly Examined[], compiler: string): string {
  const rows = examined.map(({ file, facts, kiB, limitKiB, tried, faults }) => {
    const needs = facts.needs.join(', ') || 'nothing';
    const signed = facts.platform === 'darwin' ? (facts.signed ? ', ad-hoc signature' : ', not signed') : '';
    const verdict = faults.length === 0 ? tried : `**${faults.join('; ')}**`;
    return `| \`${file}\` | ${facts.format}, ${facts.arch}, ${facts.kind}${signed} | ${needs} | ${kiB.toFixed(0)} of ${limitKiB} KiB | ${verdict} |`;
  });
  return `# Prebuilt binaries

Written by \`npm run build:cross\`, with ${compiler}, for version ${version}. The binaries themselves are in no
repository: they are made when the package is packed ([Contributing](../CONTRIBUTING.md), "A release").

| file | is | needs | size | tried |
|---|---|---|---|---|
${rows.join('\n')}

The addon's entry point and the version in the programs were found in each. The addon for Linux on arm64 was loaded once by
hand, in Node 24 for that machine under qemu-user with Debian's \`libc6-arm64-cross\`. Nothing was run on macOS. Signatures of macOS
binaries are ad hoc, which its kernel requires on arm64, and every page was compared with them; they are not notarized. On a machine that none of them is for,
\`broker-key\` runs \`broker get\`, there is no \`broker run\`, and the daemon runs without the addon: no readiness, no watchdog, and callers are
identified by their own hints. With musl's C library (Alpine) all run: musl 1.2.5 with Node 24.19 was
tried by hand.

## SQLite

The cache uses better-sqlite3, whose package brings its own binaries. That for Linux with glibc needs glibc 2.34 (Debian 12, Ubuntu 22.04,
RHEL 9 or newer). On an older system, such as Debian 11, Ubuntu 20.04 or RHEL 8, the daemon works from memory: every key is served and nothing
survives a restart, as \`broker status\` says. A build on that system, which needs python3, make and a C++20 compiler (g++ 10), ends
that:

    cd "$(npm root -g)/apikey-broker/node_modules/better-sqlite3"
    npx node-gyp rebuild --release --force_build=1
    broker service restart

It is lost when the package is installed again.
`;
}
