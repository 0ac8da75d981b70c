/**
 * Node's HTTP and sockets, fetched as built-ins: importing `node:http` by name builds the whole ESM facade of the
 * module and costs a start-up of 40 ms some 45 ms more. Types come from `import type` as usual.
 */
export const net = process.getBuiltinModule('node:net');

/** Not before it is needed: a helper's request needs none of it. */
export const loadHttp = (): typeof import('node:http') => process.getBuiltinModule('node:http');
