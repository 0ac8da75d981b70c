import { reportText, secretsIn } from '../../claude/doctor/report.ts';
import { connect } from '../../client/broker-client.ts';
import { describeFault } from '../../config/faults.ts';
import { configFile, ownStateDir, stateDir } from '../../config/paths.ts';
import { LARGEST_CONFIG_BYTES } from '../../config/safe-file.ts';
import { tomlValue } from '../../config/toml.ts';
import { BrokerError } from '../../errors.ts';
import { readRegularFile, readTextQuietly } from '../../platform/files.ts';
import { logFileOf } from '../../platform/installation.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { within } from '../../platform/waiting.ts';
import type { BrokerEvent } from '../../protocol/reports.ts';
import { run } from '../../service/manager.ts';
import { Service } from '../../service/service.ts';
import { doctorParts, examine } from '../commands/doctor.ts';
import { statusWithout, whyNoDaemon } from '../without-daemon.ts';
import type { ArchivedFile } from './archive.ts';
import { type Around, lookAround } from './around.ts';
import { limits, service, stateFolder, versions } from './machine.ts';
import type { Masking } from './masking.ts';

export interface Collected {
  readonly files: readonly ArchivedFile[];
  readonly missing: readonly { readonly name: string; readonly why: string }[];
}

/** No part keeps the others waiting longer. */
const PART_LIMIT_MS = 30_000;
const NEWEST_EVENTS = 500;
const LOG_LINES = 500;
const LARGEST_LOG_BYTES = 4 * 1024 * 1024;

/** Everything that a person who looks for a fault asks for, redacted. Never rejects: a part that cannot be had is in `missing`. */
export async function collect(io: ProcessIo): Promise<Collected> {
  const around = await lookAround(io);
  const files: ArchivedFile[] = [];
  const missing: { name: string; why: string }[] = [];
  for (const [name, make] of Object.entries(PARTS)) {
    const late = () => new Error(`not within ${PART_LIMIT_MS / 1000} s`);
    try {
      const limit = { clock: io.clock, limitMs: PART_LIMIT_MS, late };
      files.push({ name, content: await within([io.signal], limit, () => make(around)) });
    } catch (error) {
      io.signal.throwIfAborted();
      const said = error instanceof Error ? error.message : 'it failed';
      missing.push({ name, why: around.masking.text(said) });
    }
  }
  const { masking } = around;
  return {
    files: files.map(({ name, content }) => ({ name, content: masking.finally(content) })),
    missing: missing.map(({ name, why }) => ({ name, why: masking.finally(why) })),
  };
}

/** The files of a bug report in their order; each says itself why it cannot be had. */
const PARTS: Readonly<Record<string, (around: Around) => Promise<string>>> = {
  'doctor.txt': doctor,
  'versions.json': versions,
  'configuration.txt': configuration,
  'status.json': async ({ io, masking, status }) =>
    masking.json(status instanceof BrokerError ? await statusWithout(io, whyNoDaemon(io, status)) : status),
  'events.jsonl': events,
  'log.jsonl': log,
  'service.txt': service,
  'database.json': database,
  'limits.txt': limits,
  'state-folder.txt': stateFolder,
};

async function doctor(around: Around): Promise<string> {
  const { io, masking, status } = around;
  const silent = status instanceof BrokerError;
  // One that does not answer would be asked, and waited for, six times.
  const parts = silent
    ? { ...doctorParts(io), fetchStatus: async () => undefined, fetchEvents: async () => [], differing: async () => [] }
    : doctorParts(io);
  const asked = silent ? { addressOf: async () => undefined } : {};
  around.doctor = await examine(io, { ...parts, ...asked }, { runHelper: false });
  masking.learn(secretsIn(around.doctor.facts));
  return masking.ownWords(reportText(around.doctor, false));
}

/** What is in force, with what the one way to show a configuration masks; of a file with faults its faults and its structure. */
async function configuration({ io, masking, loaded, status }: Around): Promise<string> {
  const file = configFile(io);
  if (loaded.faults === undefined) {
    const daemon = status instanceof BrokerError ? undefined : await connect(io).config();
    const values = daemon?.values ?? (await loaded.effective());
    const lines = values.map(({ key, value, origin }) => {
      const where =
        origin.kind === 'file' ? `line ${origin.line}` : origin.kind === 'env' ? origin.variable : 'default';
      return `${masking.path(key)} = ${tomlValue(masking.value(value))}  # ${where}\n`;
    });
    return `# ${masking.text(file)}, as ${daemon === undefined ? 'the file has it' : 'the daemon has it'}\n${lines.join('')}`;
  }
  const faults = loaded.faults.map((fault) => `# ${masking.text(describeFault(fault)).replaceAll('\n', '\n# ')}\n`);
  const structure = structureOf(readTextQuietly(file, LARGEST_CONFIG_BYTES) ?? '', masking);
  return `# ${masking.text(file)} has faults; every value is left out\n${faults.join('')}\n${structure}`;
}

/** The tables and names of a file that cannot be parsed: whatever stands behind `=` or elsewhere may be a secret. */
function structureOf(text: string, masking: Masking): string {
  const lines = text.split('\n').map((line) => {
    const [, table, name] = /^\s*(?:(\[{1,2}[\w."' -]+\]{1,2})|([\w."'-]+)(?=\s*=))/.exec(line) ?? [];
    if (table !== undefined) return masking.path(table);
    if (name !== undefined) return `${masking.path(name)} = …`;
    return line.trim() === '' || /^\s*#/.test(line) ? '' : '…';
  });
  return `${lines.join('\n')}\n`;
}

async function events({ io, masking, status }: Around): Promise<string> {
  const found: readonly unknown[] =
    status instanceof BrokerError ? await storedEvents(io, status) : await connect(io).events({ limit: NEWEST_EVENTS });
  return masking.jsonLines(found.map((event) => JSON.stringify(event)).join('\n'));
}

/** No daemon answers: those of the database. */
async function storedEvents(io: ProcessIo, why: BrokerError): Promise<readonly BrokerEvent[]> {
  const { inspectDatabase } = await import('../../cache/inspect.ts');
  const look = inspectDatabase(ownStateDir(stateDir(io)), NEWEST_EVENTS);
  if (look === undefined) throw new Error(`${why.message}, and there is no database`);
  return look.events.map(({ id, atMs, kind, credential = null, detail }) => {
    return { id, at: new Date(atMs).toISOString(), kind, credential, detail };
  });
}

async function database({ io, masking }: Around): Promise<string> {
  const { inspectDatabase } = await import('../../cache/inspect.ts');
  const look = inspectDatabase(ownStateDir(stateDir(io)), 0);
  if (look === undefined) throw new Error('there is no database');
  const { events: _, ...rest } = look;
  return masking.json(rest);
}

/** The journal where the service runs, else the log file of a daemon that a helper started. */
async function log({ io, masking }: Around): Promise<string> {
  const { manager } = new Service(io);
  if (manager.kind === 'systemd') {
    const { stdout } = await run(manager.logCommand({ lines: LOG_LINES }), io);
    if (stdout.trim() !== '' && stdout.trim() !== '-- No entries --') return masking.jsonLines(stdout);
  }
  const file =
    manager.kind === 'launchd' ? (manager.logCommand({ lines: 1 }).at(-1) ?? '') : logFileOf(ownStateDir(stateDir(io)));
  const texts = [`${file}.1`, file].map((each) =>
    readRegularFile(each, { maxBytes: LARGEST_LOG_BYTES, followLinks: false }),
  );
  const refused = texts.find((each) => each.state === 'refused');
  const lines = texts.flatMap((each) => (each.state === 'read' ? each.bytes.toString().split('\n') : []));
  if (lines.length > 0)
    return masking.jsonLines(
      lines
        .filter((line) => line !== '')
        .slice(-LOG_LINES)
        .join('\n'),
    );
  if (refused?.state === 'refused') throw new Error(`${file} ${refused.fault}`);
  throw new Error(`there is none: ${manager.logRemedy}`);
}
