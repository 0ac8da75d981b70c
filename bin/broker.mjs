#!/usr/bin/env node
// Says in one line that this Node is too old before anything native is loaded: better-sqlite3 13 does not
// refuse an older Node, it crashes it. Only syntax that those versions can read may stand in this file.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 12)) {
  process.stderr.write(
    `error: broker needs Node 22.12 or newer, this is ${process.versions.node} (${process.execPath}); hint: install a current Node from https://nodejs.org and run this again\n`,
  );
  process.exit(78);
}
const [{ main }, { processIo }] = await Promise.all([
  import('../dist/cli/main.js'),
  import('../dist/platform/process-io.js'),
]);
await main(process.argv.slice(2), processIo());
