/** What a command-line tool needs to find its programs, its configuration and its words; nothing of it is secret. */
const ALWAYS = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'LC_ALL',
  'LC_CTYPE',
  'LC_MESSAGES',
  'TZ',
  'TMPDIR',
  'XDG_CONFIG_HOME',
  'XDG_CACHE_HOME',
  'XDG_DATA_HOME',
  'XDG_STATE_HOME',
  'XDG_RUNTIME_DIR',
] as const;

const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin';

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of a command: the few variables above, those named in `pass`, those set in `set`. */
export function commandEnvironment(
  daemon: Environment,
  homeDir: string,
  pass: readonly string[],
  set: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const inherited = [...ALWAYS, ...pass].flatMap((name) => {
    const value = daemon[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { PATH: DEFAULT_PATH, HOME: homeDir, ...Object.fromEntries(inherited), ...set };
}
