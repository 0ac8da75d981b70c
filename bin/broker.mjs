#!/usr/bin/env node
// Refuses a Node that is too old before anything native is loaded: better-sqlite3 13 crashes a Node without Node-API 10
// (before 22.14, and 23.0 to 23.5) instead of refusing it. This file may only use syntax that those versions can parse.
if (Number(process.versions.napi) < 10) {
  process.stderr.write(
    `error: broker needs Node 22.14 or newer (of 23: 23.6), this is ${process.versions.node} (${process.execPath}); hint: install a current Node from https://nodejs.org and run this again\n`,
  );
  process.exit(78);
}
const [{ main }, { processIo }] = await Promise.all([
  import('../dist/cli/main.js'),
  import('../dist/platform/process-io.js'),
]);
await main(process.argv.slice(2), processIo());
