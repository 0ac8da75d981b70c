#!/usr/bin/env node
// Refuses a Node that is too old before anything native is loaded: better-sqlite3 13 crashes a Node without Node-API 10
// (before 22.14, and 23.0 to 23.5) instead of refusing it. This file may only use syntax that those versions can parse.
if (Number(process.versions.napi) < 10) {
  process.stderr.write(
    `error: broker needs Node 22.14 or newer (of 23: 23.6), this is ${process.versions.node} (${process.execPath}); hint: install a current Node from https://nodejs.org and run this again\n`,
  );
  process.exit(78);
}
try {
  const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);
  if (process.argv.slice(2).find((word) => !word.startsWith('-')) === 'daemon') {
    require('../dist/platform/guard.js').guardDaemon();
    require('../dist/platform/compiled.js').serveCompiled(
      require,
      require('node:path').resolve(import.meta.dirname, '../dist'),
    );
  }
  const { main } = require('../dist/cli/main.js');
  await main(process.argv.slice(2), require('../dist/platform/process-io.js').processIo());
} catch (error) {
  // Whatever a command fails with, main has said.
  if (error.code !== 'MODULE_NOT_FOUND') throw error;
  process.stderr.write(
    `error: broker is not installed completely: ${error.message.split('\n')[0]}; hint: install it again: npm install -g apikey-broker\n`,
  );
  process.exit(69);
}
