/**
 * Places in a write at which a crash leaves something half done. A test that starts the program loads a module before it
 * (`node --import`) that puts a function under this symbol, which ends the process or throws at the point that it is meant
 * for: test/fixtures/failpoints.mjs. Nothing in the environment or the configuration can do so.
 */
const AT_FAILPOINT = Symbol.for('broker.failpoint');

export type Failpoint =
  | 'file.written'
  | 'file.renamed'
  | 'database.written'
  | 'database.committed'
  | 'database.gone'
  | 'database.half-aside'
  | 'socket.gone'
  | 'socket.bound';

export function failpoint(name: Failpoint): void {
  const hook: unknown = Reflect.get(globalThis, AT_FAILPOINT);
  if (typeof hook === 'function') hook(name);
}
