import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { MEMORY_ENVIRONMENT, nodeOptions } from '../../src/platform/guard.ts';
import { DEBIAN_ROOT } from '../../src/platform/installation.ts';
import { PACKAGE_ROOT } from '../../src/platform/native.ts';
import { renderUnits } from '../../src/service/systemd.ts';
import { DESCRIPTION, HOMEPAGE, type Machine, ROOT, VERSION } from './machine.ts';
import { filesIn, SHARED } from './tree.ts';

/** Lays out what `dpkg-deb --build` takes. @param folder one that is not there yet. */
export function makeDebian(machine: Machine, tree: string, folder: string, epoch: number): void {
  const home = path.join(folder, DEBIAN_ROOT);
  mkdirSync(path.dirname(home), { recursive: true });
  const isLeftOut = (file: string) =>
    ['install.sh', 'platform', 'build', 'files.sha256', SHARED].includes(path.relative(tree, file));
  cpSync(tree, home, { recursive: true, filter: (file) => !isLeftOut(file) });
  link(folder, '/usr/bin/broker', `${DEBIAN_ROOT}/bin/broker`);
  link(folder, '/usr/bin/broker-key', `${DEBIAN_ROOT}/prebuilds/${machine.name}/broker-key`);
  for (const [name, text] of Object.entries(units())) write(folder, `/usr/lib/systemd/user/${name}`, text);
  addShared(tree, folder);
  write(folder, '/usr/share/doc/apikey-broker/copyright', copyright());
  for (const [name, text] of [
    ['changelog.gz', readFileSync(path.join(tree, 'CHANGELOG.md'))],
    ['changelog.Debian.gz', changelog(epoch)],
  ] as const) {
    write(folder, `/usr/share/doc/apikey-broker/${name}`, gzipSync(text, { level: 9 }));
  }
  write(folder, '/usr/share/lintian/overrides/apikey-broker', OVERRIDES);

  const kiB = filesIn(folder).reduce((sum, file) => sum + Math.ceil(statSync(path.join(folder, file)).size / 1024), 0);
  const sums = filesIn(folder)
    .filter((file) => !['usr/bin/broker', 'usr/bin/broker-key'].includes(file))
    .map(
      (file) =>
        `${createHash('md5')
          .update(readFileSync(path.join(folder, file)))
          .digest('hex')}  ${file}\n`,
    );
  write(folder, '/DEBIAN/md5sums', sums.join(''));
  write(folder, '/DEBIAN/control', control(machine, kiB));
  for (const script of ['postinst', 'prerm', 'postrm']) {
    write(folder, `/DEBIAN/${script}`, readFileSync(path.join(import.meta.dirname, 'debian', `${script}.sh`)), 0o755);
  }
  settle(folder, epoch);
}

/**
 * For `systemctl --global enable broker.socket`: no user's own path, and none of what needs user namespaces, which not every
 * machine allows. `broker service install [--everyone]` looks at the machine and puts its own units before these.
 */
function units(): ReturnType<typeof renderUnits> {
  const program = `${DEBIAN_ROOT}/bin/broker.mjs`;
  const { ...files } = renderUnits({
    command: [`${DEBIAN_ROOT}/bin/node`, ...nodeOptions(), program, 'daemon'],
    stateDir: undefined,
    socket: undefined,
    env: MEMORY_ENVIRONMENT,
    canNotify: true,
    namespaces: false,
  });
  const here = (text: string) => text.replaceAll(`file://${PACKAGE_ROOT}/`, `file://${DEBIAN_ROOT}/`);
  return { 'broker.service': here(files['broker.service']), 'broker.socket': here(files['broker.socket']) };
}

function addShared(tree: string, folder: string): void {
  // bash and fish look for a file with the name of the command.
  const places: readonly (readonly [place: string, shell: string])[] = [
    ['bash-completion/completions/broker', 'bash'],
    ['bash-completion/completions/broker-key', 'bash'],
    ['zsh/vendor-completions/_broker', 'zsh'],
    ['fish/vendor_completions.d/broker.fish', 'fish'],
    ['fish/vendor_completions.d/broker-key.fish', 'fish'],
  ];
  for (const [place, shell] of places) {
    write(folder, `/usr/share/${place}`, readFileSync(path.join(tree, SHARED, 'completion', shell)));
  }
  const man = path.join(tree, SHARED, 'man');
  for (const page of filesIn(man)) {
    write(folder, `/usr/share/man/${page}.gz`, gzipSync(readFileSync(path.join(man, page)), { level: 9 }));
  }
}

/** What lintian says of a package that brings its own runtime and libraries, as Debian's own packages may not. */
const OVERRIDES = `apikey-broker: embedded-javascript-library *
apikey-broker: hardening-no-pie [usr/lib/apikey-broker/bin/node]
apikey-broker: missing-dep-for-interpreter node *
apikey-broker: script-not-executable *
apikey-broker: statically-linked-binary *
`;

/** Its last part: the first package of this version. */
export const DEBIAN_VERSION = `${VERSION.replace('-', '~')}-1`;

function changelog(epoch: number): string {
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  return `apikey-broker (${DEBIAN_VERSION}) stable; urgency=medium

  * ${DEBIAN_ROOT}/CHANGELOG.md tells what is new.

 -- ${MAINTAINER}  ${date}
`;
}

const MAINTAINER = 'apikey-broker maintainers <maintainers@example.invalid>';

function control({ debian }: Machine, kiB: number): string {
  return `Package: apikey-broker
Version: ${DEBIAN_VERSION}
Architecture: ${debian}
Maintainer: ${MAINTAINER}
Installed-Size: ${kiB}
Depends: libc6 (>= 2.28), libgcc-s1 | libgcc1, libstdc++6
Section: utils
Priority: optional
Homepage: ${HOMEPAGE}
Description: API keys from Vault or AWS for Claude Code
${wrapped(DESCRIPTION)}
 .
 One daemon for each user, started by that user's helper or service manager.
 This package brings its own Node and starts nothing: each user runs
 "broker setup".
`;
}

/** As control files have it: each line begins with a space, and has 79 characters at most. */
function wrapped(text: string): string {
  return text.replace(/(.{1,78})(?:\s+|$)/g, ' $1\n').trimEnd();
}

function copyright(): string {
  const mit = readFileSync(path.join(ROOT, 'LICENSE'), 'utf8').trim();
  return `apikey-broker is under the MIT licence:

${mit}

Node and its parts: ${DEBIAN_ROOT}/LICENCE-node-*.txt
Packages that are compiled into the program: ${DEBIAN_ROOT}/dist/LICENCES.txt
Packages beside it: the licence files below ${DEBIAN_ROOT}/node_modules
All of them with versions: ${DEBIAN_ROOT}/sbom.cdx.json
`;
}

function write(folder: string, place: string, content: string | Uint8Array, mode = 0o644): void {
  const file = path.join(folder, place);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

function link(folder: string, place: string, target: string): void {
  const file = path.join(folder, place);
  mkdirSync(path.dirname(file), { recursive: true });
  symlinkSync(path.relative(path.dirname(place), target), file);
}

function settle(folder: string, epoch: number): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const place = path.join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(place, 0o755);
    if (!entry.isSymbolicLink()) utimesSync(place, epoch, epoch);
  }
  chmodSync(folder, 0o755);
}
