/**
 * The manual pages, from what the programs say themselves: broker(1) from the commands, broker-key(1) from the text of its
 * `--help`, broker.toml(5) from the schema of the configuration. Written into `dist/man/` with the bundle; package.json names them
 * for npm.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { buildProgram, COMMANDS } from '../src/cli/program.ts';
import { configJsonSchema } from '../src/config/json-schema.ts';
import type { ProcessIo } from '../src/platform/process-io.ts';
import { providerDefinitions } from '../src/providers/registry.ts';
import { ROOT, VERSION } from './package/machine.ts';

type JsonSchema = ReturnType<typeof configJsonSchema>;

/** @returns the files that were written. */
export async function writeManPages(folder: string): Promise<readonly string[]> {
  const pages: Readonly<Record<string, string>> = {
    'broker.1': brokerPage(await buildProgram({ env: {} } as ProcessIo, COMMANDS, () => true)),
    'broker-key.1': helperPage(),
    'broker.toml.5': configurationPage(configJsonSchema(providerDefinitions)),
  };
  mkdirSync(folder, { recursive: true });
  return Object.entries(pages).map(([name, text]) => {
    const file = path.join(folder, name);
    writeFileSync(file, text);
    return file;
  });
}

function head(name: string, section: number, summary: string): string {
  // The day of the release; none before it: the same sources make the same bytes.
  const changes = readFileSync(path.join(ROOT, 'CHANGELOG.md'), 'utf8');
  const date = /^## \S+ \((\d{4}-\d\d-\d\d)\)$/m.exec(changes.slice(changes.indexOf(`## ${VERSION} `)))?.[1] ?? '';
  const title = `.TH ${roff(name).toUpperCase()} ${section} "${date}" "apikey\\-broker ${VERSION}" "broker"`;
  return `${title}\n.nh\n.ad l\n.SH NAME\n${roff(name)} \\- ${roff(summary)}\n`;
}

/** Text of a line: nothing in it is a request or an escape. */
function roff(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('`', '').replaceAll('…', '...');
  // A long path may be broken after its slashes.
  const breakable = plain.replaceAll(/\S{40,}/g, (word) => word.replaceAll('/', '/\\:'));
  return breakable.replaceAll(/^([.'])/gm, '\\&$1').replaceAll(/[^\x20-\x7e\n]/gu, (sign) => `\\[u${hex(sign)}]`);
}

function hex(sign: string): string {
  return (sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
}

const section = (title: string, text: string) => `.SH ${title}\n${text}`;
/** A quote would begin an argument of the request. */
const bold = (text: string) => `.B ${roff(text).replaceAll('"', '\\(dq')}\n`;
const entry = (term: string, text: string) => `.TP\n${bold(term)}${roff(text)}\n`;
const verbatim = (text: string) => `.nf\n${roff(text)}\n.fi\n`;

const EXIT_CODES: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'done'],
  ['1, 2', 'of doctor: warnings; something will fail. 1 of status --check: something cannot be served'],
  ['64', 'usage'],
  ['65', 'bad data: a key that the client would refuse'],
  ['69', 'unavailable: the daemon or the provider cannot be reached, or there is no key fit to serve'],
  ['74', 'standard output is closed or full'],
  ['75', 'try again: the time is over, and the refresh goes on'],
  ['77', 'refused: permission, policy, or a key that was rejected'],
  ['78', 'configuration'],
];

const FILES: readonly (readonly [file: string, meaning: string])[] = [
  ['$BROKER_CONFIG, else $XDG_CONFIG_HOME/broker/config.toml, else ~/.config/broker/config.toml', 'the configuration'],
  [
    '$BROKER_STATE_DIR, else $XDG_STATE_HOME/broker, else ~/.local/state/broker',
    'the state: cache, lock, launch file, log',
  ],
  [
    '$BROKER_SOCKET, else $XDG_RUNTIME_DIR/broker/broker.sock, /run/user/UID/broker/broker.sock, /tmp/broker-UID/broker.sock or STATE/broker.sock',
    'the socket: the first that applies',
  ],
];

const entries = (pairs: readonly (readonly [string, string])[]) =>
  pairs.map(([term, text]) => entry(term, text)).join('');

function brokerPage(program: Command): string {
  const help = program.createHelp();
  return [
    head('broker', 1, "API keys from Vault, AWS or a command for Claude Code's apiKeyHelper"),
    section('SYNOPSIS', `${bold('broker')}${roff('[options] command ...')}\n`),
    section(
      'DESCRIPTION',
      `${roff(program.description())}\n.PP\n${roff('On a new machine begin with: broker setup. The pages of the manual are printed by: broker help topics.')}\n`,
    ),
    section('OPTIONS', optionsOf(program)),
    section(
      'COMMANDS',
      help
        .visibleCommands(program)
        .map((each) => commandEntry(each, 'broker'))
        .join(''),
    ),
    section('EXIT STATUS', entries(EXIT_CODES)),
    section('FILES', entries(FILES)),
    section('SEE ALSO', `.BR broker\\-key (1),\n.BR broker.toml (5)\n`),
  ].join('');
}

function commandEntry(command: Command, parent: string): string {
  const help = command.createHelp();
  const name = `${parent} ${command.name()}`;
  const children = help.visibleCommands(command).filter((each) => each.name() !== 'help');
  if (children.length > 0) return children.map((each) => commandEntry(each, name)).join('');
  const description = command.description();
  const words = command.registeredArguments.map((each) => help.argumentTerm(each));
  const usage = `${name} ${command.usage()}`.trim();
  return [
    `.SS ${roff(usage.replace(/\[options\] ?/, ''))}\n`,
    `${roff(description.charAt(0).toUpperCase() + description.slice(1))}.\n`,
    ...command.registeredArguments.map((each, at) =>
      each.description === '' ? '' : entry(words[at] ?? '', help.argumentDescription(each)),
    ),
    optionsOf(command),
  ].join('');
}

function optionsOf(command: Command): string {
  const help = command.createHelp();
  const own = help.visibleOptions(command).filter(({ long }) => long !== '--help' || command.parent === null);
  return own.map((option) => entry(help.optionTerm(option), help.optionDescription(option))).join('');
}

/** The helper is C: what it says of itself is taken from its source. */
function helperPage(): string {
  const source = readFileSync(path.join(ROOT, 'native', 'broker-key.c'), 'utf8');
  const usage = unquoted(/#define USAGE (.*)/.exec(source)?.[1] ?? '').replace(/^usage: /, '');
  const text = unquoted(/static const char help\[\] = USAGE ((?:\s*"(?:[^"\\]|\\.)*")+);/.exec(source)?.[1] ?? '');
  const options = [...text.matchAll(/^ {2}(-\S.*?) {2,}(.*)$|^ {2}(-.*)\n {6,}(.*)$/gm)];
  if (usage === '' || options.length < 4) throw new Error('build/man.ts does not find the help of native/broker-key.c');
  return [
    head('broker-key', 1, "print one key: the program for Claude Code's apiKeyHelper"),
    section('SYNOPSIS', `${bold('broker-key')}${roff(usage.replace(/^broker-key /, ''))}\n`),
    section(
      'DESCRIPTION',
      `${roff(text.trim().split('\n', 1)[0] ?? '')}\n.PP\n${roff('It asks the daemon over its socket, prints the key and a newline, and prints nothing else on standard output. When it fails it says in one line on standard error what is wrong and what to do. An installed daemon is started if none runs, unless BROKER_NO_AUTOSTART is set.')}\n`,
    ),
    section(
      'OPTIONS',
      options
        .map(([, term, meaning, longTerm, longMeaning]) => entry(term ?? longTerm ?? '', meaning ?? longMeaning ?? ''))
        .join(''),
    ),
    section('EXIT STATUS', entries(EXIT_CODES.filter(([code]) => code !== '1, 2'))),
    section('FILES', entries(FILES)),
    section('EXAMPLES', verbatim('{ "apiKeyHelper": "/usr/local/bin/broker-key anthropic" }')),
    section('SEE ALSO', `.BR broker (1),\n.BR broker.toml (5)\n`),
  ].join('');
}

/** What the adjacent string literals of C stand for. */
function unquoted(literals: string): string {
  const parts = [...literals.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part]) => part);
  return parts.join('').replaceAll('\\n', '\n').replaceAll('\\"', '"');
}

const EXAMPLE = `default = "anthropic"

[providers.vault]
type = "vault"
address = "https://vault.example.com:8200"

[credentials.anthropic]
provider = "vault"
path = "secret/data/claude"
field = "api_key"`;

function configurationPage({ properties = {} }: JsonSchema): string {
  const providers = tablesOf(properties['providers']);
  const credentials = tablesOf(properties['credentials']);
  // What all of them have is told once.
  const common = Object.keys(credentials[0]?.properties ?? {}).filter((key) =>
    credentials.every(({ properties: keys = {} }) => key in keys),
  );
  const [first] = credentials;
  return [
    head('broker.toml', 5, 'the configuration of broker'),
    section(
      'DESCRIPTION',
      `${roff('One file in TOML; broker config path says where. broker config validate lists every fault of it, with its line and a remedy. It is read again when it changes. Durations are written 90s, 15m, 24h, 7d.')}\n.PP\n${verbatim(EXAMPLE)}`,
    ),
    section('TOP LEVEL', keyEntry('default', properties['default'])),
    section(
      '[providers.NAME]',
      `${roff(descriptionOf(properties['providers']))}\n${providers.map((table) => tableEntries(`type = "${typeOf(table)}"`, table, ['type'])).join('')}`,
    ),
    section(
      '[credentials.NAME]',
      `${roff(descriptionOf(properties['credentials']))}\n${tableEntries('of every type', first, [], common)}${credentials.map((table, at) => tableEntries(`of type ${typeOf(providers[at])}`, table, common)).join('')}`,
    ),
    section('[daemon]', `${roff(descriptionOf(properties['daemon']))}\n${tableEntries('', properties['daemon'], [])}`),
    section(
      'SEE ALSO',
      `.BR broker (1),\n.BR broker\\-key (1)\n.PP\n${roff('A JSON Schema of this file for editors: broker config schema. At length: broker help configuration.')}\n`,
    ),
  ].join('');
}

type Table = { readonly properties?: Readonly<Record<string, JsonSchema>>; readonly description?: string };

/** The tables that a name may stand for. A type whose table has several forms counts once, with the keys of all. */
function tablesOf(schema: JsonSchema | undefined | boolean): readonly Table[] {
  const tables =
    (schema as { additionalProperties?: { anyOf?: readonly JsonSchema[] } }).additionalProperties?.anyOf ?? [];
  return tables.map(flattened);
}

function flattened(schema: JsonSchema): Table {
  const forms = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (forms === undefined) return schema as Table;
  const properties = Object.assign(
    {},
    ...forms.map((form) => flattened(form as JsonSchema).properties),
  ) as Table['properties'];
  return { ...schema, properties: { ...(schema.properties as Table['properties']), ...properties } };
}

function typeOf(table: Table | undefined): string {
  return String((table?.properties?.['type'] as { const?: string } | undefined)?.const);
}

function descriptionOf(schema: JsonSchema | boolean | undefined): string {
  return typeof schema === 'object' ? (schema.description ?? '') : '';
}

function tableEntries(title: string, table: unknown, without: readonly string[], only?: readonly string[]): string {
  const keys = Object.entries((table as Table | undefined)?.properties ?? {}).filter(
    ([key]) => !without.includes(key) && (only === undefined || only.includes(key)),
  );
  const heading = title === '' ? '' : `.SS ${roff(title)}\n`;
  return keys.length === 0 ? '' : heading + keys.map(([key, schema]) => keyEntry(key, schema)).join('');
}

/** A key, and below it those of the table that it may be. */
function keyEntry(key: string, schema: unknown): string {
  const { description = '', examples = [] } = schema as { description?: string; examples?: readonly unknown[] };
  const shown =
    examples.length === 0 || typeof examples[0] === 'object' ? '' : ` As in ${key} = ${JSON.stringify(examples[0])}.`;
  const forms = (schema as JsonSchema).oneOf ?? [schema as JsonSchema];
  const inner = forms.flatMap((form) => {
    const { properties = {} } = flattened(form as JsonSchema);
    const method = (properties['method'] as { const?: string } | undefined)?.const;
    const list = Object.entries(properties).filter(([name]) => name !== 'method' || method === undefined);
    const title =
      method === undefined
        ? ''
        : `.TP\n${bold(`method = "${method}"`)}${list.length === 0 ? 'No further keys.\n' : 'With these keys:\n'}`;
    return [
      title,
      ...(list.length === 0 ? [] : ['.RS\n', ...list.map(([name, each]) => keyEntry(name, each)), '.RE\n']),
    ];
  });
  const nested = inner.filter((line) => line !== '');
  return `${entry(key, `${description}${shown}`)}${nested.length === 0 ? '' : `.RS\n${nested.join('')}.RE\n`}`;
}
