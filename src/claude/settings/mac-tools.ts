import { spawnSync } from 'node:child_process';

/** Programs of macOS for what cannot be read as a file. */
export interface MacTools {
  /** A property list, XML or binary, as JSON; undefined if it is none. */
  plistAsJson(plist: Uint8Array): Buffer | undefined;
  /** Whether the keychain has such an item; its secret is not asked for. undefined: that could not be found out. */
  hasKeychainItem(service: string, account: string): boolean | undefined;
}

const LIMIT_MS = 5_000;
/** errSecItemNotFound, as `security` ends with it. */
const NOT_FOUND = 44;

/** Found on PATH, as the client finds them. */
export function macTools(env: Readonly<Record<string, string | undefined>>): MacTools {
  const run = (program: string, args: readonly string[], input: Uint8Array = Buffer.alloc(0)) => {
    const path = [env['PATH'], '/usr/bin'].filter(Boolean).join(':');
    return spawnSync(program, args, { env: { ...env, PATH: path }, input, timeout: LIMIT_MS });
  };
  return {
    plistAsJson: (plist) => {
      const { status, stdout } = run('plutil', ['-convert', 'json', '-o', '-', '-'], plist);
      return status === 0 ? stdout : undefined;
    },
    hasKeychainItem: (service, account) => {
      // Without -w and -g it prints attributes only, unlocks nothing and asks for nothing.
      const { status } = run('security', ['find-generic-password', '-a', account, '-s', service]);
      if (status === 0) return true;
      return status === NOT_FOUND ? false : undefined;
    },
  };
}
