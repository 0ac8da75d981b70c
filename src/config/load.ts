import { BrokerError } from '../errors.ts';
import { checkFile, placeOfCommonKey } from './check.ts';
import type { Config } from './config.ts';
import { type EffectiveValue, EffectiveValues } from './effective.ts';
import type { Environment } from './environment.ts';
import { type ConfigFault, Findings, inFileOrder } from './explain.ts';
import { readSafeFile } from './safe-file.ts';
import type { ProviderSchemas } from './schema.ts';
import { parseToml } from './toml.ts';
import { Origins } from './walk.ts';

interface LoadOptions {
  /** Absolute path. */
  readonly file: string;
  /** Every provider type that there is. */
  readonly types: readonly ProviderSchemas[];
  /** For the defaults that a provider's definition takes from the environment. */
  readonly env: Environment;
  readonly homeDir: string;
  /** Who has to own the file, beside root. */
  readonly uid: number;
}

export type LoadResult = LoadedConfig | RefusedConfig;

export interface LoadedConfig {
  readonly config: Config;
  /** Every key with its effective value, masked, and where it comes from. */
  readonly effective: readonly EffectiveValue[];
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
    const { bytes, readableByOthers } = await readSafeFile(options.file, options.uid);
    return checkConfig(bytes, options, readableByOthers);
  } catch (error) {
    const known = error instanceof BrokerError;
    const message = known ? error.message : 'the configuration cannot be checked';
    const remedy = (known ? error.remedy : undefined) ?? 'check the file against docs/configuration.md';
    return { faults: [{ file: options.file, line: undefined, key: undefined, message, remedy }] };
  }
}

/** Checks the content of a configuration file that has been read already. */
export function checkConfig(
  bytes: Uint8Array,
  options: Omit<LoadOptions, 'uid'>,
  readableByOthers = false,
): LoadResult {
  const { file, types } = options;
  const text = decoded(bytes);
  if (typeof text !== 'string') return { faults: [{ file, key: undefined, ...text }] };
  const { root, positions, faults: syntaxFaults } = parseToml(text);
  const origins = new Origins();
  const findings = new Findings(file, positions, origins, syntaxFaults.length > 0);
  for (const { line, path, message, remedy } of syntaxFaults)
    findings.addAt(line, { path: path ?? [], message, remedy });
  const effective = new EffectiveValues(positions, origins);
  const context = { types, findings, effective, origins, readableByOthers, placeOf: placeOfCommonKey };
  const config = checkFile(root, context, options);
  if (findings.faults.length > 0) return { faults: inFileOrder(findings.faults) };
  return { config, effective: effective.values, warnings: inFileOrder(findings.warnings) };
}

/** TOML is UTF-8; a byte order mark is skipped by the parser. */
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
  // The first bad sequence becomes U+FFFD; what the file may have of them rightly encoded would be found too early,
  // which still names a line worth looking at.
  const before = new TextDecoder('utf-8').decode(bytes).split('\uFFFD', 1)[0] ?? '';
  return { line: before.split('\n').length, message: 'the file is not UTF-8', remedy };
}
