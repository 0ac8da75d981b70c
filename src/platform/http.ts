/**
 * Node's HTTP, fetched as a built-in: importing it by name builds the whole ESM facade of the module and costs a
 * start-up of 40 ms some 45 ms more.
 */
export const http = process.getBuiltinModule('node:http');
