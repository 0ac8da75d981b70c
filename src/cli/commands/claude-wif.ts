import type { Addition } from '../../claude/settings/edit.ts';
import { connect } from '../../client/broker-client.ts';
import type { Config, CredentialConfig } from '../../config/config.ts';
import { configError } from '../../config/faults.ts';
import { configFile, sinkFile } from '../../config/paths.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { type WifOptions, wifDefinition } from '../../providers/anthropic-wif/options.ts';
import { loadOwnConfig } from '../../providers/own-config.ts';

export interface FederationOptions {
  readonly credential?: string;
  readonly rule?: string;
  readonly organization?: string;
  readonly serviceAccount?: string;
  readonly workspace?: string;
}

/** By the key of the provider that has the same. */
const IDS = {
  federation_rule_id: { variable: 'ANTHROPIC_FEDERATION_RULE_ID', flag: '--rule', isNeeded: true },
  organization_id: { variable: 'ANTHROPIC_ORGANIZATION_ID', flag: '--organization', isNeeded: true },
  service_account_id: { variable: 'ANTHROPIC_SERVICE_ACCOUNT_ID', flag: '--service-account', isNeeded: true },
  workspace_id: { variable: 'ANTHROPIC_WORKSPACE_ID', flag: '--workspace', isNeeded: false },
} as const;

type Ids = Readonly<Partial<Record<keyof typeof IDS, string | undefined>>>;

/**
 * The variables by which Claude Code exchanges an identity token automatically, with the file that the broker keeps it in.
 * @throws BrokerError ERR_USAGE for what is missing or malformed, ERR_CONFIG.
 */
export async function federationAdditions(io: ProcessIo, options: FederationOptions): Promise<Addition[]> {
  const file = configFile(io);
  const loaded = await loadOwnConfig(io, file);
  if (loaded.faults !== undefined) throw configError(loaded.faults);
  const { name, sink } = credentialWithSink(loaded.config, options.credential);
  const path = (await pathOfDaemon(io, name)) ?? sinkFile(sink, io);
  const ids = requireIds(idsOf(options, loaded.config), path);
  const entries = Object.entries(IDS).flatMap(([key, { variable }]) => {
    const value = ids[key as keyof typeof IDS];
    return value === undefined ? [] : [[variable, value] as const];
  });
  return [...entries, ['ANTHROPIC_IDENTITY_TOKEN_FILE', path] as const].map(([variable, value]) => ({
    path: ['env', variable],
    value,
  }));
}

function credentialWithSink({ credentials, file }: Config, wanted: string | undefined): { name: string; sink: string } {
  const withSink = (each: CredentialConfig | undefined) =>
    each?.sink === undefined ? undefined : { name: each.name, sink: each.sink };
  const all = [...credentials.values()].flatMap((each) => withSink(each) ?? []);
  const found = wanted === undefined ? (all.length === 1 ? all[0] : undefined) : withSink(credentials.get(wanted));
  if (found !== undefined) return found;
  const names = all.map(({ name }) => name).join(', ');
  if (wanted === undefined && all.length > 1) {
    throw new BrokerError('ERR_USAGE', 'several credentials are kept in files', {
      remedy: `name one of them: --credential ${names}`,
    });
  }
  const what =
    wanted === undefined ? 'no credential is kept in a file' : `"${wanted.slice(0, 64)}" is not kept in a file`;
  const table = `[credentials.${wanted?.slice(0, 64) ?? 'NAME'}.sink]`;
  throw new BrokerError('ERR_USAGE', what, {
    remedy: `add ${table} with file = "{runtime}/identity-token" to ${file}${names === '' ? '' : `, or name one of: ${names}`}`,
  });
}

/** Its environment may say another place than this shell's; undefined: none runs, or it has no such file. */
async function pathOfDaemon(io: ProcessIo, name: string): Promise<string | undefined> {
  try {
    const { credentials } = await connect(io).status();
    return credentials.find((credential) => credential.name === name)?.sink?.file;
  } catch (error) {
    if (error instanceof BrokerError) return undefined;
    throw error;
  }
}

function idsOf({ rule, organization, serviceAccount, workspace }: FederationOptions, { providers }: Config): Ids {
  const configured = [...providers.values()].filter(({ type }) => type === wifDefinition.type);
  const only = configured.length === 1 ? (configured[0]?.options as WifOptions) : undefined;
  return {
    federation_rule_id: rule ?? only?.federation_rule_id,
    organization_id: organization ?? only?.organization_id,
    service_account_id: serviceAccount ?? only?.service_account_id,
    workspace_id: workspace ?? only?.workspace_id,
  };
}

/** As the provider's own schema has them. */
function requireIds(ids: Ids, path: string): Ids {
  const missing = Object.entries(IDS).filter(([key, { isNeeded }]) => isNeeded && ids[key as keyof Ids] === undefined);
  if (missing.length > 0) {
    const flags = missing.map(([, { flag }]) => flag).join(', ');
    throw new BrokerError('ERR_USAGE', `workload identity needs ${flags}`, {
      remedy: 'the Claude Console has them: Settings, Workload identity and Organization; broker help sink shows how',
    });
  }
  const checked = wifDefinition.providerSchema.safeParse({ ...ids, identity: { file: path } });
  const [issue] = checked.success ? [] : checked.error.issues;
  if (issue === undefined) return ids;
  const flag = IDS[issue.path[0] as keyof typeof IDS]?.flag ?? '--wif';
  throw new BrokerError('ERR_USAGE', `${flag}: ${issue.message}`, { remedy: 'copy it from the Claude Console' });
}
