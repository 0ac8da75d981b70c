import { Command } from 'commander';
import type { BrokerClient } from '../../client/broker-client.ts';
import { connect } from '../../client/broker-client.ts';
import { configFile } from '../../config/paths.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import { sleep } from '../../platform/waiting.ts';
import type {
  CredentialState,
  CredentialStatus,
  DaemonStatus,
  PlaceReport,
  StatusReport,
} from '../../protocol/reports.ts';
import { duration, type Paint, painter, relative, table, thousands, versionDifference } from '../output.ts';

interface Options {
  readonly json?: true;
  readonly watch?: true;
}

const WATCH_EVERY_MS = 2_000;
/** Home, then clear to the end: no flicker, and the scroll-back stays. */
const REDRAW = '\x1b[H\x1b[J';
const CLEAR = '\x1b[2J';

/** `broker status [--json] [--watch]` */
export function statusCommand(io: ProcessIo): Command {
  return new Command('status')
    .description('the state of every credential')
    .option('--json', 'print JSON; with --watch one document a line')
    .option('--watch', 'show it again every two seconds until interrupted')
    .action((options: Options) => status(io, options));
}

async function status(io: ProcessIo, options: Options): Promise<void> {
  const client = connect(io);
  if (!options.watch) {
    io.stdout(await show(io, client, options));
    return;
  }
  if (io.stdoutIsTty && !options.json) io.stdout(CLEAR);
  const { signal } = io;
  while (!signal.aborted) {
    const text = await show(io, client, options);
    io.stdout(io.stdoutIsTty && !options.json ? `${REDRAW}${text}` : text);
    await sleep(WATCH_EVERY_MS, io.clock, signal).catch(() => undefined);
  }
}

async function show(io: ProcessIo, client: BrokerClient, { json, watch }: Options): Promise<string> {
  const report = await client.status();
  if (json) return `${JSON.stringify(report, null, watch ? 0 : 2)}\n`;
  return renderStatus(report, io.clock.wall(), painter(io), configFile(io));
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

/** `broker status` for people: one line for the whole, the table, and what to do about the rest. */
export function renderStatus(
  { daemon, credentials }: StatusReport,
  nowMs: number,
  paint: Paint,
  shellConfig?: string,
): string {
  const parts = [headline(credentials, daemon.cache, paint), daemonLine(daemon, paint)];
  parts.push(paint('dim', `configuration ${printable(daemon.configFile)}`));
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
  const elsewhere = otherConfiguration(daemon, shellConfig);
  for (const note of [
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
  { persistent, problem }: DaemonStatus['cache'],
  paint: Paint,
): string {
  if (credentials.length === 0) return paint('yellow', 'No credentials are configured.');
  const count = (state: CredentialState) => credentials.filter((credential) => credential.state === state).length;
  const failing = count('failing');
  if (failing > 0) return paint('red', `${failing} of ${credentials.length} credentials cannot be served.`);
  const stale = count('stale');
  if (stale > 0)
    return paint('yellow', `All can be served, ${stale} of ${credentials.length} from before the provider failed.`);
  const waiting = count('waiting');
  if (waiting > 0) return paint('cyan', `${waiting} of ${credentials.length} credentials are being fetched.`);
  const idle = count('idle');
  const unused = idle === 0 ? '' : ` ${idle} never asked for.`;
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
function otherConfiguration({ configFile: file }: DaemonStatus, shellConfig = file): Note[] {
  if (file === shellConfig) return [];
  const text = `this shell has another configuration than the daemon: ${printable(shellConfig)}`;
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
