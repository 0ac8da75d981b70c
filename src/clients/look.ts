import path from 'node:path';
import type { OtherClient, OtherTrap } from '../claude/doctor/others.ts';
import type { Config } from '../config/config.ts';
import { writtenKey } from '../config/positions.ts';
import { shellWord } from '../errors.ts';
import { isExecutable, programsOnPath, statQuietly } from '../platform/files.ts';
import {
  BUILT_IN,
  type CodexConfig,
  type CodexProvider,
  codexConfigFile,
  codexHome,
  codexProfiles,
  credentialOfArgs,
  isOurs,
  laidOver,
  readCodexConfig,
  settingsOf,
} from './codex-config.ts';
import { DESKTOP_LIBRARY, desktopAsk, findDesktopConfig } from './desktop.ts';

export interface MachineFacts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  readonly stateDir: string;
  /** `/` outside tests. */
  readonly systemRoot: string;
  /** The broker's own; undefined: none that can be read. */
  readonly config: Pick<Config, 'file' | 'defaultCredential' | 'credentials'> | undefined;
}

/** Less than Codex itself waits. */
const USUAL_TIMEOUT_MS = 5_000;

/** Those that are installed. */
export function otherClients(around: MachineFacts): readonly OtherClient[] {
  return [...lookAtCodex(around), ...lookAtDesktop(around)];
}

/** As it starts by itself, and with each of the profiles that have another key. */
function lookAtCodex(around: MachineFacts): readonly OtherClient[] {
  const { env, systemRoot } = around;
  const isThere = programsOnPath('codex', env['PATH']).length > 0 || statQuietly(codexHome(around)) !== undefined;
  if (!isThere) return [];
  const own = readCodexConfig(codexConfigFile(around));
  // What is in it wins over the person's own files.
  const managed = readCodexConfig(path.join(systemRoot, 'etc/codex/managed_config.toml'));
  const usual = codexWith({ own, managed }, around);
  if (own.state === 'broken') return [usual];
  const profiles = codexProfiles(around).flatMap(({ profile, file }) => {
    const client = codexWith({ own, profile: readCodexConfig(file), managed }, around);
    // A profile is chosen for each start, so that another provider in it is meant.
    const traps = client.traps.filter(({ id }) => id !== 'client-not-selected' && id !== 'client-managed');
    const isAnother = client.uses !== usual.uses || client.credential !== usual.credential;
    return isAnother ? { ...client, name: `Codex --profile ${profile}`, traps } : [];
  });
  return [usual, ...profiles];
}

/** Each is laid over those before it. */
interface CodexLayers {
  readonly own: CodexConfig;
  readonly profile?: CodexConfig;
  readonly managed: CodexConfig;
}

function codexWith({ own: base, profile, managed }: CodexLayers, around: MachineFacts): OtherClient {
  const { file, state, values, problem: detail = '' } = profile ?? base;
  const nothing = { name: 'Codex', file, asksBroker: false, credential: undefined, traps: [] } as const;
  if (state === 'broken') {
    const trap = { id: 'client-config-broken', detail, remedy: 'fix that line by hand, or take it out' } as const;
    return { ...nothing, uses: 'nothing: it refuses its configuration', traps: [trap] };
  }
  const { selected: name = 'openai', providers } = settingsOf(laidOver(laidOver(base.values, values), managed.values));
  const isOfProfile = profile?.values['model_providers'] !== undefined;
  const install = `broker codex install${isOfProfile ? ` --config ${shellWord(file)}` : ''}`;
  const provider = providers.find((each) => each.name === name);
  const own = providers.find(isOurs);
  const asksBroker = provider !== undefined && isOurs(provider);
  const credential = asksBroker ? credentialOfArgs(provider.args) : undefined;
  return {
    ...nothing,
    uses: keyOfCodex(name, provider, asksBroker, credential),
    asksBroker,
    credential,
    traps: [
      ...(provider === undefined ? [] : trapsOfProvider(provider, install, around)),
      ...(own === undefined || asksBroker ? [] : [notSelected(own.name, name, managed)]),
    ],
  };
}

function notSelected(
  own: string,
  selected: string,
  managed: { readonly file: string; readonly selected: string | undefined },
): OtherTrap {
  if (managed.selected !== undefined) {
    const detail = `model_provider is ${writtenKey(selected)} there`;
    return { id: 'client-managed', detail, remedy: 'ask who administers this machine', where: managed.file };
  }
  return {
    id: 'client-not-selected',
    detail: `the provider ${writtenKey(own)} has its helper, and ${writtenKey(selected)} is selected`,
    remedy: `start it with codex -c model_provider=${writtenKey(own)}, or: broker codex install --provider ${writtenKey(own)} --force`,
  };
}

function keyOfCodex(
  name: string,
  provider: CodexProvider | undefined,
  asksBroker: boolean,
  credential: string | undefined,
): string {
  const by = `for the provider ${writtenKey(name)}`;
  if (asksBroker) return `${keyOfBroker(credential)}, ${by}`;
  if (provider?.command !== undefined) return `what another command prints, ${by}`;
  if (provider?.rivals.includes('env_key')) return `the variable of env_key, ${by}`;
  if (provider?.rivals.includes('experimental_bearer_token')) return `a fixed token in its configuration, ${by}`;
  if (BUILT_IN.has(name) || provider?.rivals.includes('requires_openai_auth')) return `its own login, ${by}`;
  return provider === undefined ? `nothing: there is no provider ${writtenKey(name)}` : `no key, ${by}`;
}

function trapsOfProvider(provider: CodexProvider, install: string, around: MachineFacts): readonly OtherTrap[] {
  const { name, command, timeoutMs, rivals } = provider;
  if (command === undefined) return [];
  const traps: OtherTrap[] = [];
  if (rivals.length > 0) {
    traps.push({
      id: 'client-key-conflict',
      detail: `its provider ${writtenKey(name)} has ${rivals.join(', ')} beside a command`,
      remedy: `take ${rivals.join(' and ')} out of [model_providers.${writtenKey(name)}]`,
    });
  }
  if (!isOurs(provider)) return traps;
  const credential = credentialOfArgs(provider.args);
  traps.push(...trapsOfHelper(command, credential, install, around));
  if (timeoutMs !== undefined && timeoutMs < USUAL_TIMEOUT_MS) {
    const detail = `timeout_ms = ${timeoutMs}, and the broker answers within ${USUAL_TIMEOUT_MS - 500} ms`;
    traps.push({ id: 'client-impatient', detail, remedy: `run: ${install}` });
  }
  return traps;
}

function trapsOfHelper(
  helper: string,
  credential: string | undefined,
  install: string,
  { config }: MachineFacts,
): readonly OtherTrap[] {
  const traps: OtherTrap[] = [];
  if (path.isAbsolute(helper) && !isExecutable(helper)) {
    traps.push({ id: 'client-helper-missing', detail: helper, remedy: `run: ${install}` });
  }
  const name = credential ?? config?.defaultCredential;
  if (config === undefined) return traps;
  const found = name === undefined ? undefined : config.credentials.get(name);
  const table = `[credentials.${writtenKey(name ?? '')}]`;
  const remedy = `name another one: ${install} --credential NAME`;
  const refused = (detail: string) => traps.push({ id: 'client-key-refused', detail, remedy, where: config.file });
  if (name === undefined) refused(`it asks for the default one, and ${config.file} has none`);
  else if (found === undefined) refused(`${config.file} has no credential ${writtenKey(name)}`);
  else if (found.allow !== undefined) refused(`${table} has \`allow\`, which lets Claude Code alone have it`);
  else if (found.fields !== undefined) refused(`${table} has \`fields\`, and it needs one key`);
  return traps;
}

function keyOfBroker(credential: string | undefined): string {
  return credential === undefined ? "the broker's default credential" : `the broker's credential ${credential}`;
}

function lookAtDesktop(around: MachineFacts): readonly OtherClient[] {
  const { homeDir, platform, stateDir, systemRoot } = around;
  const folder = path.join(homeDir, DESKTOP_LIBRARY);
  if (platform !== 'darwin' || statQuietly(folder) === undefined) return [];
  const { file, helper, provider, problem } = findDesktopConfig(homeDir, platform);
  const { isOurs: asksBroker, credential } = desktopAsk(helper, stateDir);
  const profile = path.join(
    ...[systemRoot, 'Library/Managed Preferences', path.basename(homeDir), 'com.anthropic.claudefordesktop.plist'],
  );
  const traps: OtherTrap[] = [];
  if (helper !== undefined && asksBroker) {
    traps.push(...trapsOfHelper(helper, credential, 'broker desktop install', around));
  }
  if (statQuietly(profile) !== undefined) {
    traps.push({
      id: 'client-managed',
      detail: 'a profile is there, and it counts alone',
      remedy: 'look with the administrator whether it names the helper: broker desktop install --profile',
      where: profile,
    });
  }
  const other = helper === undefined ? 'its own login, or a key in its configuration' : 'what another helper prints';
  const own = provider === undefined ? `its own login: ${problem}` : other;
  const uses = asksBroker ? `${keyOfBroker(credential)}, for ${provider}` : own;
  return [{ name: 'Claude Desktop', file, uses, asksBroker, credential, traps }];
}
