import { BrokerError } from '../errors.ts';
import type { ConfigValue } from '../protocol/reports.ts';
import { checkFile } from './check.ts';
import type { Config } from './config.ts';
import { EffectiveValues } from './effective.ts';
import type { Contributions, Environment } from './environment.ts';
import { type ConfigFault, Findings, inFileOrder, locate } from './faults.ts';
import { TomlPositions } from './positions.ts';
import { readSafeFile } from './safe-file.ts';
import type { ProviderSchemas } from './schema.ts';
import { readToml, syntaxFault } from './toml.ts';

interface LoadOptions {
  /** Absolute path. */
  readonly file: string;
  /** Every provider type that there is. */
  readonly types: readonly ProviderSchemas[];
  /** For the defaults that a provider's definition takes from the environment. */
  readonly env: Environment;
  readonly homeDir: string;
  /** Default: this machine's. */
  readonly platform?: NodeJS.Platform;
  /** Who has to own the file, beside root. */
  readonly uid: number;
  /** It may have no credentials yet. Default: false, because such a file serves nothing. */
  readonly mayBeUnfinished?: boolean;
}

export type LoadResult = LoadedConfig | RefusedConfig;

export interface LoadedConfig {
  readonly config: Config;
  /** Every key with its effective value, masked, and where it comes from. Looks the lines up when it is first asked. */
  readonly effective: () => Promise<readonly ConfigValue[]>;
  /** Every secret in it as it is written, to be removed from foreign text. */
  readonly hidden: () => readonly string[];
  /** What works but should not stay so. */
  readonly warnings: readonly ConfigFault[];
  readonly faults?: undefined;
}

interface RefusedConfig {
  readonly config?: undefined;
  /** All of them, in the order of the file; never empty. */
  readonly faults: readonly ConfigFault[];
}

/** Reads and checks the configuration file. Never throws: whatever is wrong is in the list of faults. */
export async function loadConfig(options: LoadOptions): Promise<LoadResult> {
  try {
    const { bytes, readableByOthers } = readSafeFile(options.file, options.uid);
    return await checkConfig(bytes, options, readableByOthers);
  } catch (error) {
    const known = error instanceof BrokerError;
    const message = known ? error.message : 'the configuration cannot be checked';
    const remedy = (known ? error.remedy : undefined) ?? 'compare the file with: broker help configuration';
    return { faults: [{ file: options.file, line: undefined, key: undefined, message, remedy }] };
  }
}

/** Checks the content of a configuration file that has been read already. */
export async function checkConfig(
  bytes: Uint8Array,
  options: Omit<LoadOptions, 'uid'>,
  readableByOthers = false,
): Promise<LoadResult> {
  const { file } = options;
  const text = decoded(bytes);
  if (typeof text !== 'string') return { faults: [{ file, key: undefined, ...text }] };
  const { root, sound, broken } = readToml(text);
  const contributions: Contributions = new Map();
  const findings = new Findings(broken.length > 0);
  const effective = new EffectiveValues();
  const { platform = process.platform, mayBeUnfinished = false } = options;
  const context = { ...options, platform, mayBeUnfinished, findings, effective, contributions, readableByOthers };
  const config = checkFile(root, context);

  let read: Promise<TomlPositions> | undefined;
  const findPositions = () => (read ??= TomlPositions.of(sound));
  const located = async (found: readonly Parameters<typeof locate>[0][]) => {
    const positions = await findPositions();
    return inFileOrder(found.map((each) => locate(each, { file, positions, contributions })));
  };
  if (broken.length + findings.faults.length > 0) {
    const positions = await findPositions();
    const syntax = broken.map((statement) => syntaxFault(statement, positions));
    return { faults: await located([...syntax, ...findings.faults]) };
  }
  return {
    config,
    hidden: () => effective.hidden,
    effective: async () => effective.located(await findPositions(), contributions),
    warnings: findings.warnings.length === 0 ? [] : await located(findings.warnings),
  };
}

/** TOML is UTF-8; the parser skips a byte order mark. */
function decoded(bytes: Uint8Array): string | { line: number; message: string; remedy: string } {
  const start = [...bytes.subarray(0, 2)].join();
  const isUtf16 = start === '255,254' || start === '254,255';
  try {
    if (!isUtf16) return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // Falls through to the fault.
  }
  const remedy = 'save the file as UTF-8';
  if (isUtf16) return { line: 1, message: 'the file is UTF-16, not UTF-8', remedy };
  // The first bad sequence becomes U+FFFD; one that the file has itself would be found too early, which still names a
  // line worth looking at.
  const before = new TextDecoder('utf-8').decode(bytes).split('\uFFFD', 1)[0] ?? '';
  return { line: before.split('\n').length, message: 'the file is not UTF-8', remedy };
}
