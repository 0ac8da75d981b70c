import type { Clock } from './clock.ts';
import { type KeyringTrouble, trouble } from './keyring.ts';
import { runProgram } from './run-program.ts';
import { firstLine } from './text.ts';

const NAME = 'org.freedesktop.secrets';
const ROOT = '/org/freedesktop/secrets';
const SERVICE = 'org.freedesktop.Secret.Service';
/** What an alias that names no collection leads to (Secret Service API, ReadAlias). */
const NOWHERE = '/';
/** GNOME's collection "session" is in memory only: a key in there is gone when the session ends. */
const SESSION = `${ROOT}/collection/session`;

export interface SecretServiceQuestion {
  /** DBUS_SESSION_BUS_ADDRESS among them. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether the bus may start the service. */
  readonly mayStart: boolean;
  /** Of the item that is wanted. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** On the steady clock. */
  readonly untilMs: number;
}

/**
 * Looks with systemd's `busctl` whether the Secret Service can be asked without a person: whether it runs, has a default
 * collection that lasts, and neither that nor the item is locked. Libraries unlock what is locked, which puts a dialogue
 * before the user, or hangs where there is no person; so this comes first, and nothing it calls ever prompts. Undefined: all is
 * open. Never rejects.
 */
export async function findTrouble(question: SecretServiceQuestion): Promise<KeyringTrouble | undefined> {
  const alias = await busctl(question, 'call', NAME, ROOT, SERVICE, 'ReadAlias', 's', 'default');
  if ('why' in alias) return alias;
  const [collection] = alias.values;
  if (typeof collection !== 'string' || collection === NOWHERE) return trouble('no-collection');
  if (collection === SESSION) return trouble('no-collection', 'the default collection is that of the session only');
  const locked = await busctl(
    question,
    'get-property',
    NAME,
    collection,
    'org.freedesktop.Secret.Collection',
    'Locked',
  );
  if ('why' in locked) return locked;
  if (locked.values[0] !== false) return trouble('locked');
  const pairs = Object.entries(question.attributes).flat();
  const count = String(pairs.length / 2);
  const items = await busctl(question, 'call', NAME, ROOT, SERVICE, 'SearchItems', 'a{ss}', count, ...pairs);
  if ('why' in items) return items;
  const [, lockedItems] = items.values;
  return Array.isArray(lockedItems) && lockedItems.length > 0 ? trouble('locked') : undefined;
}

async function busctl(
  { env, mayStart, clock, untilMs }: SecretServiceQuestion,
  ...words: string[]
): Promise<{ readonly values: readonly unknown[] } | KeyringTrouble> {
  const command = ['busctl', '--user', '--json=short', `--auto-start=${mayStart ? 'yes' : 'no'}`, ...words];
  const limitMs = Math.max(1, untilMs - clock.now());
  const { end, status, stdout, stderr } = await runProgram(command, { env: { ...env, LC_ALL: 'C' }, limitMs }, clock);
  if (end === 'not-started') return trouble('no-busctl');
  if (end !== 'exited') return trouble('silent');
  if (status !== 0) return describe(firstLine(stderr));
  try {
    const { data }: { data?: unknown } = JSON.parse(stdout.toString('utf8'));
    return { values: Array.isArray(data) ? data : [data] };
  } catch {
    return trouble('failed', 'the answer of busctl cannot be read');
  }
}

/** busctl says which of these it was in its words only (systemd, src/busctl/busctl.c); they are those of the bus. */
function describe(words: string): KeyringTrouble {
  if (/failed to connect to bus|failed to set bus address/i.test(words)) return trouble('no-bus', words);
  if (/" does not exist|not provided by any|exited with status|failed to execute program/i.test(words)) {
    return trouble('no-service');
  }
  return /timed out/i.test(words) ? trouble('silent') : trouble('failed', words);
}
