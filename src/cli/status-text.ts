import type { BrokerError } from '../errors.ts';
import { duration, printable } from '../platform/text.ts';
import type {
  CredentialState,
  CredentialStatus,
  DaemonStatus,
  PlaceReport,
  StatusReport,
} from '../protocol/reports.ts';
import { type Paint, relative, table, thousands, versionDifference } from './output.ts';

export interface StatusSurroundings {
  /** The configuration that this shell's variables lead to. */
  readonly here?: string | undefined;
  readonly launchFlaw?: BrokerError | undefined;
}

const MARKS: Readonly<
  Record<CredentialState, readonly [mark: string, colour: 'green' | 'yellow' | 'cyan' | 'red' | 'dim']>
> = {
  fresh: ['●', 'green'],
  stale: ['◐', 'yellow'],
  waiting: ['○', 'cyan'],
  failing: ['✗', 'red'],
  idle: ['·', 'dim'],
};

const HEADINGS = ['', 'CREDENTIAL', 'STATE', 'EXPIRES', 'NEXT REFRESH', 'SERVED', 'LAST ASKED', 'PROVIDER', 'VERSION'];
const NOTHING = '-';
/** In the headline; the others are in the table. */
const MOST_NAMED = 5;

/** `broker status` for people: one line for the whole, the table, and what to do about the rest. */
export function renderStatus(
  { daemon, credentials }: StatusReport,
  nowMs: number,
  paint: Paint,
  { here, launchFlaw: flaw }: StatusSurroundings = {},
): string {
  const configuration = paint('dim', `configuration ${printable(daemon.configFile)}`);
  const parts = [headline(credentials, daemon, paint), daemonLine(daemon, paint), configuration];
  if (daemon.cache.persistent)
    parts.push(paint('dim', `cache encrypted, its key in ${printable(daemon.cache.keyEncryptionKey)}`));
  else if (daemon.cache.problem === null) parts.push(paint('dim', 'cache in memory alone, as configured'));
  if (credentials.length > 0) {
    const headings = HEADINGS.map((heading) => paint('dim', heading));
    parts.push('', table([headings, ...credentials.map((credential) => row(credential, nowMs, paint))]).trimEnd());
  }
  // A daemon of an older version knows no `allow`.
  const guarded = credentials.filter(({ allow = [] }) => allow.length > 0);
  if (guarded.length > 0) {
    const names = guarded.map(({ name, allow }) => `${name} (${allow.join(', ')})`).join(', ');
    parts.push('', paint('dim', `only for whom \`allow\` names: ${names}`));
  }
  const shares = credentials.filter(({ sessions = 0 }) => sessions > 0);
  if (shares.length > 0) {
    const counts = shares.map(({ name, sessions = 0 }) => `${name} (${sessions})`).join(', ');
    parts.push('', paint('dim', `client processes with a lease of their own: ${counts}`));
  }
  const elsewhere = otherConfiguration(daemon, here);
  for (const note of [
    ...launchNotes(flaw),
    ...elsewhere,
    ...daemonNotes(daemon, nowMs),
    ...credentials.flatMap((credential) => notesOf(credential, nowMs)),
  ]) {
    parts.push('', `${paint(note.colour, note.mark)} ${note.text}`);
    if (note.remedy !== null) parts.push(`  ${paint('bold', 'hint:')} ${note.remedy}`);
  }
  return `${parts.join('\n')}\n`;
}

function headline(
  credentials: readonly CredentialStatus[],
  { cache: { persistent, problem }, configProblem }: DaemonStatus,
  paint: Paint,
): string {
  if (credentials.length === 0) return paint('yellow', 'No credentials are configured.');
  const count = (state: CredentialState) => credentials.filter((credential) => credential.state === state).length;
  const failing = credentials.filter(({ state }) => state === 'failing').map(({ name }) => name);
  if (failing.length > 0) {
    const named = failing.length > MOST_NAMED ? [...failing.slice(0, MOST_NAMED), '…'] : failing;
    return paint(
      'red',
      `${failing.length} of ${credentials.length} credentials cannot be served: ${named.join(', ')}.`,
    );
  }
  const stale = count('stale');
  if (stale > 0)
    return paint('yellow', `All can be served, ${stale} of ${credentials.length} from before the provider failed.`);
  const waiting = count('waiting');
  if (waiting > 0) return paint('cyan', `${waiting} of ${credentials.length} credentials are being fetched.`);
  const idle = count('idle');
  const unused = idle === 0 ? '' : ` ${idle} never asked for.`;
  if (configProblem !== null)
    return paint('yellow', `All can be served, but the changed configuration is not in force.${unused}`);
  if (!persistent && problem !== null)
    return paint('yellow', `All can be served, from memory only: a restart loses every key.${unused}`);
  return paint('green', credentials.length === idle ? 'Ready; nothing asked for yet.' : `All is well.${unused}`);
}

function daemonLine(daemon: DaemonStatus, paint: Paint): string {
  const up = duration(daemon.uptimeSeconds * 1000);
  return paint(
    'dim',
    `broker ${daemon.version}, pid ${daemon.pid}, up ${up}, listening on ${printable(daemon.socket)}`,
  );
}

function row(credential: CredentialStatus, nowMs: number, paint: Paint): string[] {
  const [mark, colour] = MARKS[credential.state];
  const when = (at: string | null) => (at === null ? NOTHING : relative(at, nowMs));
  return [
    paint(colour, mark),
    credential.isDefault ? `${paint('bold', credential.name)} (default)` : credential.name,
    paint(colour, credential.state),
    expiry(credential, nowMs),
    credential.refreshing ? 'under way' : when(credential.nextRefreshAt),
    thousands(credential.timesServed),
    when(credential.lastAskedAt),
    `${credential.provider} (${credential.providerType})`,
    credential.version === null ? NOTHING : printable(credential.version).slice(0, 20),
  ];
}

function expiry({ expiresAt, expirySource, issuedAt }: CredentialStatus, nowMs: number): string {
  if (expiresAt !== null) return relative(expiresAt, nowMs);
  return issuedAt !== null && expirySource === 'unknown' ? 'unknown' : NOTHING;
}

interface Note {
  readonly mark: string;
  readonly colour: 'red' | 'yellow' | 'cyan';
  readonly text: string;
  readonly remedy: string | null;
}

function notesOf({ name, state, lastError, advice, sink }: CredentialStatus, nowMs: number): Note[] {
  const kept = sinkNotes(name, sink);
  const advised: Note[] = advice.map(({ message, remedy }) => ({
    mark: 'i',
    colour: 'cyan',
    text: `${name}: ${printable(message)}`,
    remedy: printable(remedy),
  }));
  const notes = [...kept, ...advised];
  if (lastError === null) return notes;
  const again = lastError.nextAttemptAt === null ? '' : `, next attempt ${relative(lastError.nextAttemptAt, nowMs)}`;
  const times = lastError.failures === 1 ? 'once' : `${lastError.failures} times`;
  const text = `${name}: ${printable(lastError.message)} (${lastError.code}, ${times}, last ${relative(lastError.at, nowMs)}${again})`;
  const remedy = lastError.remedy === null ? null : printable(lastError.remedy);
  return [{ mark: '!', colour: state === 'failing' ? 'red' : 'yellow', text, remedy }, ...notes];
}

/** A daemon of an older version says nothing of files. */
function sinkNotes(name: string, sink: CredentialStatus['sink'] | undefined): Note[] {
  if (sink == null) return [];
  const { file, written, problem, remedy } = sink;
  if (problem !== null) {
    const what = written ? 'keeps an older token' : 'is not there';
    return [{ mark: '!', colour: 'yellow', text: `${name}: ${file} ${what}: ${printable(problem)}`, remedy }];
  }
  return [{ mark: 'i', colour: 'cyan', text: `${name}: ${written ? 'kept' : 'to be kept'} in ${file}`, remedy: null }];
}

/** BROKER_CONFIG or XDG_CONFIG_HOME may be set in one shell only. */
function launchNotes(flaw: BrokerError | undefined): Note[] {
  if (flaw === undefined) return [];
  const text = `${flaw.message}: no other daemon starts`;
  return [{ mark: '!', colour: 'yellow', text, remedy: flaw.remedy ?? null }];
}

function otherConfiguration({ configFile: file }: DaemonStatus, here = file): Note[] {
  if (file === here) return [];
  const text = `this shell has another configuration than the daemon: ${printable(here)}`;
  const remedy = 'unset BROKER_CONFIG (or XDG_CONFIG_HOME) here, or have the daemon take it: broker service install';
  return [{ mark: '!', colour: 'yellow', text, remedy }];
}

function placeNote({ place, state, at, times, message, remedy }: PlaceReport, nowMs: number): Note {
  const often = times === 1 ? '' : `, ${times} times in a row`;
  return {
    mark: state === 'lost' ? '!' : 'i',
    colour: state === 'lost' ? 'red' : 'cyan',
    text: `${place}: ${printable(message)} (${relative(at, nowMs)}${often})`,
    remedy: remedy === null ? null : printable(remedy),
  };
}

function daemonNotes({ cache, configProblem, limits, version, places = [] }: DaemonStatus, nowMs: number): Note[] {
  const notes: Note[] = places.map((place) => placeNote(place, nowMs));
  const difference = versionDifference(version);
  if (difference !== undefined) notes.push({ mark: '!', colour: 'yellow', ...difference });
  if (cache.problem !== null) {
    const text = `cache: ${printable(cache.problem)}`;
    notes.push({ mark: '!', colour: 'yellow', text, remedy: cache.remedy === null ? null : printable(cache.remedy) });
  }
  // A daemon of an older version says nothing of its limits.
  if (limits?.problem != null) {
    const remedy = limits.remedy === null ? null : printable(limits.remedy);
    notes.push({ mark: '!', colour: 'yellow', text: printable(limits.problem), remedy });
  }
  if (configProblem !== null) {
    const text = `configuration: ${printable(configProblem)}`;
    notes.push({
      mark: '!',
      colour: 'yellow',
      text,
      remedy: 'the last good one is in force; list the faults: broker config validate',
    });
  }
  return notes;
}
