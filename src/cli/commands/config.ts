import path from 'node:path';
import { Command } from 'commander';
import { daemonConfig } from '../../client/broker-client.ts';
import { differences } from '../../config/effective.ts';
import { type ConfigFault, describeFault } from '../../config/faults.ts';
import { configJsonSchema } from '../../config/json-schema.ts';
import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import { configFile, socketCandidates, stateDir } from '../../config/paths.ts';
import type { ProviderSchemas } from '../../config/schema.ts';
import { tomlValue } from '../../config/toml.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import type { ConfigReport, ConfigValue } from '../../protocol/reports.ts';
import { providerDefinitions } from '../../providers/registry.ts';
import { json } from '../output.ts';

export interface ConfigCommandParts {
  /** Every provider type that there is. */
  readonly types: readonly ProviderSchemas[];
  /** The effective values of the daemon that runs, masked by it; undefined if none runs. Default: none is asked. */
  readonly daemonValues?: () => Promise<readonly ConfigValue[] | undefined>;
}

interface Options {
  readonly json?: true;
  readonly config?: string;
}

const EXIT_CONFIG = 78;

/** `broker config validate|show|path|schema`. Exit codes: 0, or 78 with every fault listed. */
export function configCommand(io: ProcessIo, parts: ConfigCommandParts = everyPart(io)): Command {
  const command = new Command('config').description('check the configuration, print it with secrets masked');
  const add = (name: string, description: string, run: (options: Options) => Promise<void> | void) => {
    command
      .command(name)
      .description(description)
      .option('--json', 'print JSON')
      .option('--config <file>', 'this file instead of the configured one')
      .action((options: Options) => run(options));
  };
  add('validate', 'list every fault of the configuration file', (options) => validate(io, parts, options));
  add('show', 'print every effective value and where it comes from, secrets masked', (options) =>
    show(io, parts, options),
  );
  add('path', 'print where the configuration file is; with --json also the state folder and the sockets', (options) =>
    showPaths(io, options),
  );
  add('schema', 'print the JSON Schema of the file, for editors', () => {
    io.stdout(json(configJsonSchema(parts.types)));
  });
  return command;
}

function everyPart(io: ProcessIo): ConfigCommandParts {
  return { types: providerDefinitions, daemonValues: () => daemonValuesOf(io) };
}

/** For `config show`: nothing where the daemon that runs has another file, which is said. */
async function daemonValuesOf(io: ProcessIo): Promise<ConfigReport['values'] | undefined> {
  const daemon = await daemonConfig(io);
  if (daemon === undefined || daemon.file === configFile(io)) return daemon?.values;
  io.stderr(`warning: the daemon that runs has another configuration, ${daemon.file}; its values are not shown here\n`);
  return undefined;
}

async function validate(io: ProcessIo, parts: ConfigCommandParts, options: Options): Promise<void> {
  const loaded = await loadOrReport(io, parts, options);
  if (loaded === undefined) return;
  const { config, warnings } = loaded;
  const [providers, credentials] = [config.providers.size, config.credentials.size];
  if (options.json)
    return io.stdout(json({ file: config.file, ok: true, providers, credentials, faults: [], warnings }));
  warn(io, warnings);
  io.stdout(`${config.file}: no faults; ${counted(providers, 'provider')}, ${counted(credentials, 'credential')}\n`);
}

async function show(io: ProcessIo, parts: ConfigCommandParts, options: Options): Promise<void> {
  const loaded = await loadOrReport(io, parts, options);
  if (loaded === undefined) return;
  const { config, warnings } = loaded;
  const effective = await loaded.effective();
  const daemon = options.config === undefined ? await parts.daemonValues?.() : undefined;
  const differing = daemon === undefined ? [] : differences(daemon, effective);
  if (options.json) {
    return io.stdout(
      json({
        file: config.file,
        values: daemon ?? effective,
        from: daemon ? 'daemon' : 'file',
        differing,
        warnings,
      }),
    );
  }
  io.stdout(`# ${config.file}\n${table(daemon ?? effective)}`);
  if (differing.length > 0) {
    io.stdout('\n# The daemon runs with the values above; the file and this shell alone would give:\n');
    for (const { key, here } of differing) {
      io.stdout(
        here === undefined
          ? `# ${key} would not be set\n`
          : `# ${key} = ${tomlValue(here.value)}  (${originWord(here.origin)})\n`,
      );
    }
  }
  warn(io, warnings);
}

function showPaths(io: ProcessIo, options: Options): void {
  const config = chosenFile(io, options);
  if (!options.json) io.stdout(`${config}\n`);
  else
    io.stdout(json({ config, state: stateDir(io), sockets: socketCandidates(io).map((candidate) => candidate.path) }));
}

async function loadOrReport(
  io: ProcessIo,
  parts: ConfigCommandParts,
  options: Options,
): Promise<LoadedConfig | undefined> {
  const file = chosenFile(io, options);
  const result = await loadConfig({ file, types: parts.types, env: io.env, homeDir: io.homeDir, uid: io.uid });
  if (result.faults === undefined) return result;
  io.setExitCode(EXIT_CONFIG);
  if (options.json) io.stdout(json({ file, ok: false, faults: result.faults, warnings: [] }));
  else {
    for (const fault of result.faults) io.stderr(`${describeFault(fault)}\n`);
    io.stderr(`error: ${counted(result.faults.length, 'fault')} in ${file}\n`);
  }
  return undefined;
}

function chosenFile(io: ProcessIo, { config }: Options): string {
  return config === undefined ? configFile(io) : path.resolve(config);
}

/** Every line is TOML, so that the output can be searched, compared and pasted. */
function table(values: readonly ConfigValue[]): string {
  const lines = values.map(({ key, value, origin }) => [`${key} = ${tomlValue(value)}`, originWord(origin)] as const);
  const width = Math.min(72, Math.max(0, ...lines.map(([line]) => line.length)));
  return lines.map(([line, origin]) => `${line.padEnd(width)}  # ${origin}\n`).join('');
}

function originWord(origin: ConfigValue['origin']): string {
  if (origin.kind === 'file') return `line ${origin.line}`;
  return origin.kind === 'env' ? `from ${origin.variable}` : 'default';
}

function warn(io: ProcessIo, warnings: readonly ConfigFault[]): void {
  for (const warning of warnings) io.stderr(`warning: ${describeFault(warning)}\n`);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
