import { helperPath } from '../../src/platform/native.ts';
import { AwsJsonServer } from '../../test/fakes/aws-json-server.ts';
import { DevVault } from '../../test/fakes/dev-vault/dev-vault.ts';
import { findInstalled } from '../installed.ts';
import { type Bench, KEY, preparedHome, Server } from '../lab.ts';
import type { Section } from '../results.ts';
import { summarize } from '../statistics.ts';
import { type Candidate, type Timed, timeCommands } from '../stopwatch.ts';

const OURS = 'broker-key';

/** Section 7: what a refresh costs the user's prompt with the scripts that people publish. */
export async function measureSaving(bench: Bench): Promise<Section> {
  const runs = bench.effort.quick ? 5 : 20;
  const home = preparedHome(bench.folder);
  const daemon = await Server.daemon(home);
  const aws = new AwsJsonServer();
  const vault = await DevVault.start({ nowMs: Date.now });
  try {
    await aws.start();
    aws.put('prod/claude', KEY);
    vault.kv.writeV2('secret/claude', { api_key: KEY });
    bench.say('saving: the scripts that people publish');
    const env = {
      ...home.env,
      VAULT_ADDR: vault.address,
      VAULT_TOKEN: vault.rootToken,
      AWS_ACCESS_KEY_ID: 'none',
      AWS_SECRET_ACCESS_KEY: 'none',
      AWS_DEFAULT_REGION: 'eu-west-1',
    };
    return describe(await timeCommands(bench.programs, runs, scripts(aws.url), env));
  } finally {
    await aws.stop();
    await vault.stop();
    await daemon.end();
    await home.close();
  }
}

function scripts(awsUrl: string): Candidate[] {
  const published: readonly (readonly [program: string, command: (program: string) => string])[] = [
    ['vault', (vault) => `${vault} kv get -field=api_key secret/claude`],
    ['bao', (bao) => `${bao} kv get -field=api_key secret/claude`],
    [
      'aws',
      (aws) =>
        `${aws} --endpoint-url ${awsUrl} secretsmanager get-secret-value --secret-id prod/claude --query SecretString --output text`,
    ],
    [
      'curl',
      (curl) =>
        `${curl} -sS -H "X-Vault-Token: $VAULT_TOKEN" $VAULT_ADDR/v1/secret/data/claude | sed 's/.*"api_key":"\\([^"]*\\)".*/\\1/'`,
    ],
  ];
  return [
    { name: OURS, argv: ['/bin/sh', '-c', helperPath() ?? ''] },
    ...published.flatMap(([program, command]) => {
      const file = findInstalled(program);
      if (file === undefined) return [];
      return [
        {
          name: command(program).replace(` --endpoint-url ${awsUrl}`, ''),
          argv: ['/bin/sh', '-c', command(file)] as const,
        },
      ];
    }),
  ];
}

function describe(all: readonly Timed[]): Section {
  const ours = summarize(all.find(({ name }) => name === OURS)?.micros ?? []);
  return {
    title: '7. What a user saves at every refresh',
    words: [
      'Through `/bin/sh -c`, as Claude Code runs its helper. The servers behind the scripts are on loopback and answer at once, so this is the least that the scripts can take: a real Vault or AWS adds a round trip, a TLS handshake and often a login, of which the broker’s user sees nothing. The client refreshes every five minutes behind its requests; at the start of a session, after a 401 and for a JWT the prompt waits for it. Programs that are not installed here are left out.',
    ],
    tables: [
      {
        heads: ['helper', 'p50 ms', 'p99 ms', 'of broker-key'],
        rows: all.map(({ name, micros }) => {
          const { p50, p99 } = summarize(micros);
          const times = p50 / ours.p50;
          return [
            `\`${name.replaceAll('|', '\\|')}\``,
            (p50 / 1000).toFixed(1),
            (p99 / 1000).toFixed(1),
            `${times.toFixed(0)} ×`,
          ];
        }),
      },
    ],
    targets: [],
    plots: [],
    ratios: {},
    figures: all.map(({ name, micros }) => ({ name, ...summarize(micros) })),
  };
}
