/**
 * The first code of a daemon, before anything else is loaded: what other processes and the environment must not do to it.
 * It imports nothing, because every millisecond before it is one in which a signal can still end the process.
 */

/** They mean nothing to a daemon, and would end it or, SIGUSR1, open the inspector on a TCP port. */
const STRAY: readonly NodeJS.Signals[] = [
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGPROF',
  'SIGIO',
  'SIGPWR',
  'SIGSTKFLT',
  'SIGXCPU',
  // Until the daemon is ready there is nothing that it could read again.
  'SIGHUP',
];

/** Node's options that can neither open, print nor write what the process holds, nor run code of others. */
const HARMLESS =
  /^--(?:disable-sigusr1|max-(?:old|semi)-space-size=\d+|use-(?:openssl|system|bundled)-ca|tls-(?:min|max)-v[\d.]+|dns-result-order=\w+|no-network-family-autoselection|network-family-autoselection-attempt-timeout=\d+|no-warnings|no-deprecation|enable-source-maps)$/;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Has glibc overwrite memory when it is freed, and keep none aside that it does not (mallopt(3), M_PERTURB, and the GNU C Library
 * Reference Manual, "Memory Allocation Tunables"): bodies of answers, which Node and its libraries copy and free, would lie
 * there until something else is written over them. Other C libraries do not read it.
 */
export const MEMORY_ENVIRONMENT: Readonly<Record<string, string>> =
  process.platform === 'linux' ? { GLIBC_TUNABLES: 'glibc.malloc.perturb=85:glibc.malloc.tcache_count=0' } : {};

/** Listens to them and does nothing; children get the system's own behaviour again. Once is enough. */
export function ignoreStraySignals(): void {
  for (const signal of STRAY) if (process.listenerCount(signal) === 0) process.on(signal, () => undefined);
}

/** The option that keeps SIGUSR1 from opening the inspector before there is a listener; Node 23.6 does not know it. */
export function nodeOptions(): readonly string[] {
  return process.allowedNodeEnvironmentFlags.has('--disable-sigusr1') ? ['--disable-sigusr1'] : [];
}

/** How a daemon that was started like this has to be started instead; undefined: it is well as it is. */
export function saferStart(
  execArgv: readonly string[],
  env: Environment,
  wanted: Readonly<Record<string, string>>,
): { readonly execArgv: readonly string[]; readonly env: Record<string, string> } | undefined {
  const { NODE_DEBUG, NODE_DEBUG_NATIVE, NODE_OPTIONS, ...others } = env;
  const words = (NODE_OPTIONS ?? '').split(/\s+/).filter((word) => word !== '');
  const keepsOptions = words.every((word) => HARMLESS.test(word));
  const wipes = Object.entries(wanted).every(([name, value]) => env[name]?.includes(value));
  if (!NODE_DEBUG && !NODE_DEBUG_NATIVE && keepsOptions && wipes && execArgv.every((word) => !isInspection(word)))
    return undefined;
  const kept = Object.entries({
    ...others,
    ...(keepsOptions && { NODE_OPTIONS }),
    ...(wipes ? {} : added(wanted, env)),
  });
  return {
    execArgv: execArgv.filter((word) => HARMLESS.test(word)),
    env: Object.fromEntries(kept.filter((entry): entry is [string, string] => entry[1] !== undefined)),
  };
}

/** Behind what is there: of two tunables with one name the last one counts. */
function added(wanted: Readonly<Record<string, string>>, env: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(wanted).map(([name, value]) => [name, [env[name], value].filter(Boolean).join(':')]),
  );
}

function isInspection(word: string): boolean {
  return /^--(?:inspect|debug|experimental-network-inspection)/.test(word);
}

/**
 * Replaces this process by one that no variable or option can make print or open what it holds, and whose memory is overwritten
 * when it is freed, with the same pid, if it is not such a one already. Where Node cannot do that (before 22.15, and 23 before 23.11) an inspector is closed, and a variable
 * that makes Node print is refused.
 */
export function guardDaemon(): void {
  const canReplace = typeof process.execve === 'function';
  // While it is open, listening to SIGPROF makes Node print a warning.
  if (!canReplace) closeInspector();
  ignoreStraySignals();
  // Read by libraries when they are loaded (follow-redirects, node-vault).
  delete process.env['DEBUG'];
  // What small buffers held stays in a pool that they share, until that is full.
  Buffer.poolSize = 0;
  const { execArgv, env, argv, execPath } = process;
  // Node closes inherited descriptors in what it starts: a lock or a socket that was handed over would be lost.
  const hasHeritage = env['BROKER_LOCK_FD'] !== undefined || env['LISTEN_FDS'] !== undefined;
  const safer =
    saferStart(execArgv, env, hasHeritage ? {} : MEMORY_ENVIRONMENT) ??
    (isInspected() ? { execArgv, env: { ...env } } : undefined);
  if (safer === undefined) return;
  if (canReplace) {
    const options = new Set([...nodeOptions(), ...safer.execArgv]);
    process.execve?.(execPath, [execPath, ...options, ...argv.slice(1)], safer.env);
  }
  if (!env['NODE_DEBUG'] && !env['NODE_DEBUG_NATIVE']) return;
  process.stderr.write(
    'error: NODE_DEBUG makes Node print what is secret; hint: unset NODE_DEBUG and NODE_DEBUG_NATIVE\n',
  );
  process.exit(78);
}

/** SIGUSR1 may have opened one before there was a listener. */
export function closeInspector(): void {
  const inspector = process.getBuiltinModule('node:inspector');
  if (inspector.url() !== undefined) inspector.close();
}

/** For a process that was started without `nodeOptions()`: loading the module takes 2 ms. */
export function canBeInspected(): boolean {
  return !process.execArgv.includes('--disable-sigusr1');
}

function isInspected(): boolean {
  return canBeInspected() && process.getBuiltinModule('node:inspector').url() !== undefined;
}
