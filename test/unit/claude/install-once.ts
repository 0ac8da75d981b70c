import { install } from '../../../src/claude/install/installer.ts';

/** One installer as a process of its own: STATE FILE NAME. */
const [stateDir = '', file = '', name = ''] = process.argv.slice(2);
install(
  { stateDir, uid: process.getuid?.() ?? 0, now: 0 },
  {
    file,
    target: name,
    additions: [{ path: [name], value: name }],
    force: false,
    dryRun: false,
    folderMode: 0o700,
    fileMode: 0o600,
  },
);
