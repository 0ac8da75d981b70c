/** What the helper that started this daemon handed down: see native/start-daemon.c. */
export interface StartContext {
  /** Of STATE/lock, locked already. */
  readonly lockFd: number | undefined;
  /** Nobody asked for a daemon in so many words: a helper needed one. */
  readonly byHelper: boolean;
}

/** Reads the variables and takes them out of `env`, because children would take them for theirs. */
export function takeStartContext(env: Record<string, string | undefined>): StartContext {
  const { BROKER_LOCK_FD, BROKER_STARTED_BY } = env;
  for (const name of ['BROKER_LOCK_FD', 'BROKER_STARTED_BY']) delete env[name];
  const isNumber = /^[1-9]\d{0,5}$/.test(BROKER_LOCK_FD ?? '');
  return { lockFd: isNumber ? Number(BROKER_LOCK_FD) : undefined, byHelper: BROKER_STARTED_BY === 'helper' };
}
