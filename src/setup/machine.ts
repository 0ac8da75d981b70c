import { existsSync } from 'node:fs';
import path from 'node:path';
import { readRegularFile } from '../platform/files.ts';

/** What this machine knows of secret systems, for suggestions. Nothing in here is a secret. */
export interface Machine {
  readonly user: string | undefined;
  readonly vault: {
    readonly address: string | undefined;
    /** `~/.vault-token`, where `vault login` puts it, is there. */
    readonly hasTokenFile: boolean;
    /** VAULT_TOKEN is set: a daemon does not inherit it. */
    readonly hasTokenVariable: boolean;
  };
  readonly aws: {
    readonly profiles: readonly string[];
    readonly profile: string | undefined;
    readonly region: string | undefined;
    /** Profiles that log in with `aws sso login`. */
    readonly sso: readonly string[];
  };
  /** Variables of this shell that lead out through a proxy. */
  readonly proxies: readonly string[];
}

interface MachineInputs {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
}

/** Reads variables and the AWS files of this user; asks no server. */
export function lookAround({ env, homeDir }: MachineInputs): Machine {
  const profiles = awsProfiles(env['AWS_CONFIG_FILE'] ?? path.join(homeDir, '.aws', 'config'));
  const credentials = awsProfiles(env['AWS_SHARED_CREDENTIALS_FILE'] ?? path.join(homeDir, '.aws', 'credentials'));
  const names = [...new Set([...profiles.keys(), ...credentials.keys()])];
  const sso = names.filter((name) => /^sso_(?:session|start_url)\s*=/m.test(profiles.get(name) ?? ''));
  return {
    user: env['USER'] ?? env['LOGNAME'],
    vault: {
      address: env['VAULT_ADDR'] || env['BAO_ADDR'] || undefined,
      hasTokenFile: existsSync(path.join(homeDir, '.vault-token')),
      hasTokenVariable: Boolean(env['VAULT_TOKEN'] || env['BAO_TOKEN']),
    },
    aws: {
      profiles: names,
      profile: env['AWS_PROFILE'] || undefined,
      region: env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || undefined,
      sso,
    },
    proxies: ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].filter((name) => env[name]),
  };
}

const MOST_AWS_BYTES = 1024 * 1024;

/** Sections of an INI file as the AWS CLI writes it: profile → its lines. Empty if it cannot be read. */
function awsProfiles(file: string): ReadonlyMap<string, string> {
  const read = readRegularFile(file, { maxBytes: MOST_AWS_BYTES });
  if (read.state !== 'read') return new Map();
  const sections = read.bytes
    .toString()
    .split(/^\s*\[/m)
    .slice(1);
  return new Map(
    sections.flatMap((section) => {
      const [head = '', ...lines] = section.split('\n');
      const name = /^(?:profile\s+)?([^\]]+)\]/.exec(head)?.[1]?.trim();
      if (name === undefined || /^(?:sso-session|services)\s/.test(name)) return [];
      return [[name, lines.join('\n')] as const];
    }),
  );
}

/** In a sentence for each, for the beginning of the wizard. */
export function describeMachine({ vault, aws, proxies }: Machine): readonly string[] {
  const sentences: string[] = [];
  if (vault.address !== undefined) sentences.push(`Vault: VAULT_ADDR is ${vault.address}`);
  if (vault.hasTokenFile) sentences.push('Vault: ~/.vault-token is there');
  if (vault.hasTokenVariable && !vault.hasTokenFile) {
    sentences.push(
      'Vault: VAULT_TOKEN is set in this shell, but a daemon will not see it: put it into a file, or log in another way',
    );
  }
  if (aws.profiles.length > 0) {
    const shown = aws.profiles.slice(0, 6).map((name) => (aws.sso.includes(name) ? `${name} (SSO)` : name));
    sentences.push(`AWS: profiles ${shown.join(', ')}${aws.profiles.length > 6 ? ', …' : ''}`);
  }
  if (proxies.length > 0) {
    sentences.push(
      `Proxy: ${proxies.join(' and ')} of this shell; written into the configuration if it is the way there`,
    );
  }
  return sentences;
}
