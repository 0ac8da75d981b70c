import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SetupHome } from '../fakes/setup-home.ts';

/** What one mistake is made with. */
export interface Place {
  readonly home: SetupHome;
  /** Of a Vault with secret/data/claude, an AppRole `laptop` and the user `ada`. */
  readonly vault: string;
  /** Where nobody listens. */
  readonly nobody: string;
}

export interface Mistake {
  readonly what: string;
  /** For a shell, which has the address of Vault in $VAULT. */
  readonly typed: string;
  /** What has to be in the answer. */
  readonly says: RegExp;
  /** Exit code. Default: any but 0. */
  readonly exit?: number;
  /** Default: the good configuration. null: none. */
  readonly config?: string | null | ((place: Place, good: string) => string);
  readonly daemon?: true;
  readonly env?: (place: Place) => Readonly<Record<string, string>>;
  /** Before it is typed, and after the daemon has started. */
  readonly before?: (place: Place) => Promise<void> | void;
}

const replaced = (from: string | RegExp, to: string) => (_: Place, good: string) => {
  const text = good.replace(from, to);
  if (text === good) throw new Error(`the good configuration has no ${from}`);
  return text;
};
const AUTH = /\[providers.vault.auth\]\nmethod = "approle"\nrole_id_file.*\nsecret_id_file.*\n/;
const USERPASS = replaced(AUTH, 'auth = { method = "userpass", username = "ada" }\n');
const VALIDATE = 'broker config validate';
const APPROLE = '--auth approle --role-id-file ~/role-id --secret-id-file ~/secret-id';
const SETUP = `broker setup --no-service --yes --provider vault --address $VAULT ${APPROLE}`;
const setHelper = (home: SetupHome, helper: string) => {
  home.folderFor('.claude');
  writeFileSync(home.settings, JSON.stringify({ apiKeyHelper: helper }), { mode: 0o600 });
};
const onNewMachine = (typed: string): Mistake => ({
  what: 'The first thing that is typed',
  typed,
  config: null,
  says: /broker setup/,
});
const faulty = (what: string, config: NonNullable<Mistake['config']>, says: RegExp): Mistake => ({
  what,
  typed: VALIDATE,
  config,
  says,
  exit: 78,
});

/** By chapter. */
export const MISTAKES: Readonly<Record<string, readonly Mistake[]>> = {
  'On a new machine': [
    ...['broker-key', 'broker get', 'broker status', 'broker service start', 'broker service restart'].map(
      onNewMachine,
    ),
    ...['broker service install', 'broker login vault', 'broker logout vault', VALIDATE, 'broker config show'].map(
      onNewMachine,
    ),
    ...['broker refresh anthropic', 'broker check', 'broker wait', 'broker events', 'broker daemon'].map(onNewMachine),
    { ...onNewMachine('broker set anthropic'), typed: 'broker set anthropic < /dev/null' },
    { ...onNewMachine('broker run -- true'), typed: 'broker run --env KEY=anthropic -- true' },
  ],
  'What is typed': [
    { what: 'A command with a typing error', typed: 'broker stauts', says: /status/, exit: 64 },
    { what: 'Its help', typed: 'broker statusx --help', says: /unknown command.*[\s\S]*status/, exit: 64 },
    {
      what: 'A command of a command',
      typed: 'broker service reinstall',
      says: /install[\s\S]*broker service --help/,
      exit: 64,
    },
    { what: 'Its help', typed: 'broker claude instal --help', says: /unknown command[\s\S]*install/, exit: 64 },
    {
      what: 'An option that a command does not have',
      typed: 'broker status --al',
      says: /broker status --help/,
      exit: 64,
    },
    { what: 'An option of the helper', typed: 'broker-key --fromat raw', says: /--format|--help/, exit: 64 },
    { what: 'A format that there is not', typed: 'broker get --format yaml', says: /raw/, exit: 64 },
    { what: 'A page that there is not', typed: 'broker help vualt', says: /vault/, exit: 64 },
    { what: 'A shell that there is not', typed: 'broker completion tcsh', says: /bash/, exit: 64 },
    { what: 'A credential that there is not', typed: 'broker get antropic', says: /anthropic/, daemon: true, exit: 78 },
    { what: 'The same of the helper', typed: 'broker-key antropic', says: /anthropic/, daemon: true, exit: 78 },
    {
      what: 'A provider that there is not',
      typed: 'broker login valt',
      says: /name one of: vault/,
      daemon: true,
      exit: 64,
    },
    {
      what: 'A login where none is needed',
      typed: 'broker login vault',
      says: /AppRole|approle|role/i,
      daemon: true,
      exit: 64,
    },
    {
      what: 'A key stored where keys are not stored',
      typed: 'echo sk-ant-x | broker set anthropic',
      says: /not from a keychain/,
      exit: 64,
    },
    { what: 'No program to run', typed: 'broker run --env KEY=anthropic', says: /usage|PROGRAM|COMMAND/i, exit: 64 },
    {
      what: 'A credential of the command line that is not a name',
      typed: 'broker claude install --credential "my key"',
      says: /a name is/,
      exit: 64,
    },
  ],
  'In the configuration': [
    faulty('An empty file', '', /broker setup|\[providers\.NAME\]/),
    faulty(
      '[provider.vault]',
      replaced('[providers.vault]', '[provider.vault]'),
      /write \[providers\.vault\]\nerror: 1 fault/,
    ),
    faulty('[vault]', replaced('[providers.vault]', '[vault]'), /write \[providers\.vault\]\nerror: 1 fault/),
    faulty('[credential.anthropic]', replaced('[credentials.', '[credential.'), /write \[credentials\.anthropic\]/),
    faulty(
      'type = "aws"',
      replaced(/type = "vault"\n[\s\S]*\[cred/, 'type = "aws"\n[cred'),
      /aws-secrets-manager.*aws-ssm/,
    ),
    faulty(
      'type = "1password"',
      replaced(/type = "vault"\n[\s\S]*\[cred/, 'type = "1password"\n[cred'),
      /exec.*preset/,
    ),
    faulty('type = "hashicorp"', replaced('type = "vault"', 'type = "hashicorp"'), /"vault"/),
    faulty('No type', replaced('type = "vault"\n', ''), /type = /),
    faulty('An address without its scheme', replaced(/address = "http:\/\//, 'address = "'), /https:\/\//),
    faulty('A quote is missing', replaced('"secret/data/claude"', '"secret/data/claude'), /config.toml:\d+: /),
    faulty(
      'A table twice',
      replaced('[credentials.anthropic]', '[providers.vault]\n[credentials.anthropic]'),
      /config.toml:\d+: /,
    ),
    faulty('A key with a typing error', replaced('path =', 'pth ='), /path/),
    faulty(
      'A key in the wrong table',
      replaced('[credentials.anthropic]', 'path = "x"\n[credentials.anthropic]'),
      /in \[credentials\.NAME\]/,
    ),
    faulty(
      'The login in the table of the provider',
      replaced('[providers.vault.auth]\n', ''),
      /method belongs in \[providers\.vault\.auth\]/,
    ),
    faulty('A method of login that there is not', replaced('"approle"', '"app-role"'), /approle/),
    faulty(
      'An address as path',
      (p, good) => good.replace('"secret/data', `"${p.vault}/v1/secret/data`),
      /path = "secret\/data\/claude"/,
    ),
    faulty('A provider that is not there', replaced('provider = "vault"', 'provider = "valt"'), /vault/),
    faulty(
      'A default that is not there',
      replaced('default = "anthropic"', 'default = "antropic"'),
      /default = "anthropic"/,
    ),
    faulty('A duration without its unit', (_, good) => `${good}ttl = 15\n`, /15m|15s|90s/),
    faulty('A duration in words', (_, good) => `${good}ttl = "15 minutes"\n`, /15m/),
    faulty(
      'A command in one text',
      '[providers.x]\ntype = "exec"\n[credentials.k]\nprovider = "x"\ncommand = "op read x"\n',
      /\["op", "read", "x"\]|list/,
    ),
    {
      what: 'A secret in the file',
      typed: VALIDATE,
      config: replaced('role_id_file = "~/role-id"', 'role_id = "r"\nsecret_id = "s"'),
      says: /secret/,
    },
    {
      what: 'The file is writable by others',
      typed: VALIDATE,
      before: ({ home }) => chmodSync(home.config, 0o666),
      says: /chmod/,
    },
    {
      what: 'A file of the login that is not there',
      typed: 'broker-key',
      daemon: true,
      config: replaced('~/secret-id', '~/nowhere'),
      says: /nowhere/,
      exit: 77,
    },
    {
      what: 'A fault is edited into the file of a running daemon',
      typed: 'broker-key nope',
      daemon: true,
      says: /has a fault.*broker config validate/,
      exit: 78,
      before: async ({ home }) => {
        writeFileSync(home.config, 'default = \n', { mode: 0o600 });
        while (!(await home.key('nope')).stderr.includes('has a fault'));
      },
    },
  ],
  'Logins and secrets': [
    {
      what: 'The role or its secret is wrong',
      typed: 'broker-key',
      daemon: true,
      config: replaced('~/secret-id', '~/role-id'),
      says: /secret.*\[providers\.vault\.auth\]/,
      exit: 77,
    },
    {
      what: 'A path that the policy does not have',
      typed: 'broker-key',
      daemon: true,
      config: replaced('data/claude', 'data/nowhere'),
      says: /nowhere/,
      exit: 77,
    },
    {
      what: 'KV version 2 without data/',
      typed: 'broker-key',
      daemon: true,
      config: replaced('data/claude', 'claude'),
      says: /data\/ is missing after its mount/,
    },
    {
      what: 'A field that is not in the secret',
      typed: 'broker-key',
      daemon: true,
      config: replaced('"api_key"', '"apikey"'),
      says: /api_key/,
    },
    {
      what: 'Nobody listens at the address',
      typed: 'broker-key',
      daemon: true,
      config: ({ nobody, vault }, good) => good.replace(vault, nobody),
      says: /refuse|reach/,
      exit: 69,
    },
    {
      what: 'A proxy that is not there',
      typed: 'broker-key',
      daemon: true,
      config: ({ vault }, good) => good.replace(vault, 'http://vault.example.com'),
      env: ({ nobody }) => ({ HTTP_PROXY: nobody, http_proxy: nobody }),
      says: /proxy/,
      exit: 69,
    },
    {
      what: 'Only VAULT_TOKEN of the shell',
      typed: 'export VAULT_TOKEN=dev; broker-key',
      daemon: true,
      config: replaced(AUTH, ''),
      says: /vault login|VAULT_TOKEN/,
      exit: 77,
    },
    {
      what: 'The same at setup',
      typed:
        'VAULT_TOKEN=x broker setup --no-service --yes --provider vault --address $VAULT --auth token --path secret/data/claude',
      config: null,
      says: /does not (?:see|have).*variable|VAULT_TOKEN/,
    },
    {
      what: 'An expired token in a file of its own',
      typed: 'broker-key',
      daemon: true,
      config: replaced(AUTH, 'auth = { method = "token", token_file = "~/token" }\n'),
      before: ({ home }) => writeFileSync(join(home.folder, 'token'), 'expired', { mode: 0o600 }),
      says: /~?\/token/,
      exit: 77,
    },
    {
      what: 'A wrong token in the configuration',
      typed: 'broker-key',
      daemon: true,
      config: replaced(AUTH, 'auth = { method = "token", token = "wrong" }\n'),
      says: /token in \[providers\.vault\.auth\]/,
      exit: 77,
    },
    {
      what: 'userpass, and nobody has logged in',
      typed: 'broker-key',
      daemon: true,
      config: USERPASS,
      says: /broker login vault/,
      exit: 77,
    },
    {
      what: 'A mistyped password',
      typed: 'echo wrong | broker login vault --password-stdin',
      daemon: true,
      config: USERPASS,
      says: /ada|password/,
      exit: 77,
    },
    {
      what: 'userpass without a terminal',
      typed: 'broker login vault < /dev/null',
      daemon: true,
      config: USERPASS,
      says: /--password-stdin/,
      exit: 64,
    },
    {
      what: 'oidc that is not mounted',
      typed: 'broker login vault --no-browser',
      daemon: true,
      config: replaced(AUTH, 'auth = { method = "oidc", mount = "okta" }\n'),
      says: /okta.*mount|mount.*okta/,
    },
    {
      what: 'An AWS profile that there is not',
      typed: 'broker-key k',
      daemon: true,
      config:
        '[providers.aws]\ntype = "aws-ssm"\nprofile = "nope"\n[credentials.k]\nprovider = "aws"\nparameter = "/k"\n',
      says: /profile.*nope/,
      exit: 78,
    },
    {
      what: 'No AWS region',
      typed: 'broker-key k',
      daemon: true,
      config: '[providers.aws]\ntype = "aws-ssm"\n[credentials.k]\nprovider = "aws"\nparameter = "/k"\n',
      says: /region/,
      exit: 78,
    },
    {
      what: 'A tool that is not installed',
      typed: 'broker-key k',
      daemon: true,
      config: '[providers.x]\ntype = "exec"\n[credentials.k]\nprovider = "x"\ncommand = ["op", "read", "x"]\n',
      says: /op/,
      exit: 78,
    },
    {
      what: 'A tool that is not logged in',
      typed: 'broker-key k',
      daemon: true,
      config: `[providers.x]\ntype = "exec"\n[credentials.k]\nprovider = "x"\ncommand = ["/bin/sh", "-c", "echo 'you are not signed in' >&2; exit 1"]\n`,
      says: /not signed in/,
    },
    {
      what: 'What is read is not a key',
      typed: 'broker-key k',
      daemon: true,
      config: '[providers.x]\ntype = "exec"\n[credentials.k]\nprovider = "x"\ncommand = ["echo", "two words"]\n',
      says: /key/,
      exit: 65,
    },
  ],
  'At setup': [
    {
      what: 'userpass without a terminal',
      typed:
        'broker setup --no-service --yes --provider vault --address $VAULT --auth userpass --username ada --path secret/data/claude < /dev/null',
      config: null,
      says: /setup.*--password-stdin|--password-stdin/,
      exit: 64,
    },
    {
      what: 'An address as --path',
      typed: `${SETUP} --path $VAULT/v1/secret/data/claude`,
      config: null,
      says: /secret\/data\/claude/,
    },
    {
      what: 'An address without its scheme',
      typed: `broker setup --no-service --yes --provider vault --address vault.example.com ${APPROLE} --path secret/data/claude`,
      config: null,
      says: /https:\/\//,
    },
    {
      what: 'A file that is not there',
      typed: `broker setup --no-service --yes --provider vault --address $VAULT --auth approle --role-id-file ~/nowhere --secret-id-file ~/secret-id --path secret/data/claude`,
      config: null,
      says: /nowhere/,
    },
    {
      what: 'An option that setup does not have',
      typed: 'broker setup --addres $VAULT',
      config: null,
      says: /--address[\s\S]*broker setup --help/,
      exit: 64,
    },
    {
      what: 'Nothing said, and no terminal',
      typed: 'broker setup < /dev/null',
      config: null,
      says: /--provider/,
      exit: 64,
    },
    {
      what: 'A value of several, and none named',
      typed: `${SETUP} --path secret/data/two`,
      config: null,
      says: /--field/,
    },
    {
      what: 'The tilde in quotes for the helper',
      typed: 'broker doctor',
      before: ({ home }) => setHelper(home, '"~/bin/broker-key"'),
      daemon: true,
      says: /~ is not expanded in quotes/,
    },
  ],
  'Daemon and places': [
    {
      what: 'No daemon, and nothing starts one',
      typed: 'broker-key',
      env: () => ({ BROKER_NO_AUTOSTART: '1' }),
      says: /broker service|broker daemon/,
      exit: 69,
    },
    {
      what: 'The daemon was killed',
      typed: 'broker-key',
      daemon: true,
      env: () => ({ BROKER_NO_AUTOSTART: '1' }),
      before: ({ home }) => killed(home),
      says: /broker service|broker daemon/,
      exit: 69,
    },
    { what: 'A second daemon', typed: 'broker daemon', daemon: true, says: /already|runs/, exit: 69 },
    {
      what: 'Another configuration in this shell alone',
      typed: 'BROKER_CONFIG=~/other.toml broker doctor',
      daemon: true,
      before: ({ home }) => writeFileSync(join(home.folder, 'other.toml'), 'default = "x"\n', { mode: 0o600 }),
      says: /the daemon has another configuration.*other\.toml/,
    },
    {
      what: 'The socket is elsewhere in this shell',
      typed: 'BROKER_SOCKET=~/nothing.sock broker status',
      daemon: true,
      says: /run\/broker\.sock|BROKER_SOCKET/,
    },
    {
      what: 'A credential cannot be served, and a script looks at status',
      typed: 'broker refresh anthropic; broker status --check',
      daemon: true,
      config: replaced('data/claude', 'data/nowhere'),
      says: /cannot be served/,
      exit: 1,
    },
    { what: 'A log that nobody has written yet', typed: 'broker service logs', says: /helper has started the daemon/ },
    {
      what: 'The state folder is open to others',
      typed: 'broker daemon',
      before: ({ home }) => {
        home.folderFor('state');
        chmodSync(home.stateDir, 0o777);
      },
      says: /chmod/,
      exit: 77,
    },
    {
      what: 'The folder of the socket is open to others',
      typed: 'broker daemon',
      before: ({ home }) => chmodSync(join(home.folder, 'run'), 0o777),
      says: /chmod/,
      exit: 77,
    },
  ],
};

async function killed(home: SetupHome): Promise<void> {
  process.kill(home.lastPid, 'SIGKILL');
  while ((await home.key()).code !== 69);
}
