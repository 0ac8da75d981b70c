import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StatusReport } from '../../src/protocol/reports.ts';
import { AwsHome } from '../conformance/aws/aws-home.ts';
import { AwsJsonServer, type Behaviour } from '../fakes/aws-json-server.ts';
import { hasOpenssl, makeCertificate } from '../fakes/certificates.ts';
import { BrokerHome, type Finished, type RunningDaemon } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { TokenExchangeServer } from '../fakes/token-exchange.ts';
import { type TokenBehaviour, TokenServer } from '../fakes/token-server.ts';
import type { Answer, AnswerStage, Verdict } from './answers/answer.ts';
import { awsAnswers } from './answers/aws-answers.ts';
import { contentAnswers } from './answers/content-answers.ts';
import { execAnswers } from './answers/exec-answers.ts';
import { type LoginAnswer, loginAnswers } from './answers/login-answers.ts';
import { oauth2Answers } from './answers/oauth2-answers.ts';
import { networkAnswers, UNTRUSTED, vaultAnswers } from './answers/vault-answers.ts';
import { wifAnswers } from './answers/wif-answers.ts';

/** Chapters of docs/provider-answers.md. */
const CHAPTERS: readonly (readonly [title: string, answers: readonly Answer[]])[] = [
  ['The network, and what may stand in between', networkAnswers],
  ['Vault and OpenBao', vaultAnswers],
  ['AWS', awsAnswers],
  ['Commands', execAnswers],
  ["Anthropic's workload identity federation", wifAnswers],
  ['Identity providers (OAuth 2.0)', oauth2Answers],
  ['What is stored', contentAnswers],
];

const EXIT: Readonly<Record<Verdict, number>> = {
  served: 0,
  unusable: 65,
  transient: 69,
  'login-expired': 77,
  denied: 77,
  gone: 77,
  misconfigured: 78,
};
const exitOf = (verdict: LoginAnswer['verdict']) => (verdict === 'usage' ? 64 : EXIT[verdict]);

const everyAnswer = CHAPTERS.flatMap(([, answers]) => answers).map((answer, at) => ({ answer, id: `row-${at + 1}` }));
const seen = new Map<Answer | LoginAnswer, Finished>();
const vaults: DevVault[] = [];
const aws = new AwsJsonServer();
const tokenServer = new TokenServer();
const awsHome = new AwsHome();
let federation: TokenExchangeServer;
let home: BrokerHome;
let daemon: RunningDaemon;
let status: StatusReport;

beforeAll(async () => {
  home = new BrokerHome('');
  await aws.start();
  federation = await TokenExchangeServer.start();
  await tokenServer.start();
  await awsHome.create('AKIDEXAMPLE', 'wJalrXUtnFEMI');
  const stage = await openStage();
  const tables = everyAnswer.map(({ answer, id }) => {
    const { provider, credential } = answer.arrange(stage, id);
    return `[credentials.${id}]\nprovider = "${id}"\n${credential}\n[providers.${id}]\n${provider.replace('"AWS"', `"${aws.url}"`)}\n`;
  });
  home.configure(`default = "row-1"\n[daemon]\nlog_level = "trace"\n${tables.join('\n')}\n${personalLogin(stage)}`);
  daemon = await home.start({ ...awsHome.env, PATH: '/usr/local/bin:/usr/bin:/bin' });
  await inParallel(everyAnswer, async ({ answer, id }) => {
    if (answer.verdict === 'transient') await exhaust(id);
    seen.set(answer, await home.key(id));
  });
  status = await home.status();
  // One after the other: they share one path.
  for (const answer of loginAnswers) seen.set(answer, await logIn(answer, stage));
});

const PASSWORD = 'canary-password';

function personalLogin({ vault }: AnswerStage): string {
  vault.logins.user('userpass', 'grace', PASSWORD, { ttlMs: 3_600_000 });
  vault.mfa.enforce('people', ['userpass'], [vault.mfa.totp('phone')]);
  const auth = '[providers.second-factor.auth]\nmethod = "userpass"\nusername = "grace"';
  return `[providers.second-factor]\ntype = "vault"\naddress = "${vault.address}"\n${auth}\n`;
}

async function logIn({ fault, flags = ['--passcode-stdin'] }: LoginAnswer, { vault }: AnswerStage): Promise<Finished> {
  const planned = fault === undefined ? undefined : vault.faults.plan(fault, { path: /^sys\/mfa\/validate$/ });
  const input = `${PASSWORD}\ncanary-123456\n`;
  const run = await home.brokerWith({ input }, 'login', 'second-factor', '--password-stdin', ...flags);
  planned?.clear();
  return run;
}

/** A few at a time: a hundred helpers at once would measure the machine's patience instead. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const workers = Array.from({ length: 6 }, async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  });
  await Promise.all(workers);
}

/** An ask would wait nine seconds for a first failure to pass; after some that a person has seen the hold-off is longer. */
async function exhaust(id: string): Promise<void> {
  for (let time = 0; time < 8; time += 1) {
    const { status, body } = await home.request('POST', `/v1/credentials/${id}/refresh`);
    expect({ status, body }).toMatchObject({ status: 503 });
  }
}

afterAll(async () => {
  await home.close();
  for (const vault of vaults) await vault.stop();
  await aws.stop();
  await federation.stop();
  await tokenServer.stop();
  await awsHome.remove();
});

async function openVault(tls?: { cert: Buffer; key: Buffer }): Promise<DevVault> {
  const vault = await DevVault.start({ nowMs: Date.now, ...(tls === undefined ? {} : { tls }) });
  vaults.push(vault);
  return vault;
}

async function openStage(): Promise<AnswerStage> {
  const answers = new Map<string, Behaviour>();
  aws.behaviour = (exchange) => {
    const { SecretId, Name, RoleArn } = exchange.input;
    const behaviour = answers.get(String(SecretId ?? Name ?? RoleArn));
    if (behaviour !== undefined) behaviour(exchange);
    else exchange.response.writeHead(403, { 'content-type': 'text/xml' }).end(ROLE_DENIED);
  };
  const tokenAnswers = new Map<string, TokenBehaviour>();
  tokenServer.behaviour = (exchange) => tokenAnswers.get(exchange.form.get('client_id') ?? '')?.(exchange);
  const file = (name: string, content: string) => {
    const path = join(home.folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const { untrusted, authorityFile } = await openUntrusted();
  return {
    vault: await openVault(),
    untrusted,
    authorityFile,
    aws,
    awsAnswers: answers,
    tokenServer,
    tokenAnswers,
    federation,
    file,
  };
}

/** STS speaks XML. */
const ROLE_DENIED =
  '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>' +
  '<Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>';

async function openUntrusted() {
  const folder = join(home.folder, 'certificates');
  mkdirSync(folder);
  chmodSync(folder, 0o700);
  if (!hasOpenssl) return { untrusted: new Map<string, DevVault>(), authorityFile: '' };
  const issuer = makeCertificate(folder, 'ca', { commonName: 'Example Corp Root', isAuthority: true });
  const wanted = [
    { commonName: 'vault', issuer },
    { commonName: 'lone vault' },
    { commonName: 'old vault', issuer, validUntil: '20200102000000Z' },
    { commonName: 'new vault', issuer, validFrom: '20980101000000Z', validUntil: '20990101000000Z' },
    { commonName: 'v', issuer, altNames: 'DNS:vault.corp.example' },
  ];
  const untrusted = new Map<string, DevVault>();
  for (const [at, fault] of UNTRUSTED.entries()) {
    untrusted.set(fault, await openVault(makeCertificate(folder, `c${at}`, wanted[at] ?? { commonName: '' })));
  }
  return { untrusted, authorityFile: issuer.certFile };
}

const needsOpenssl = ({ name }: Answer) => name.startsWith('TLS: ');

test.each(everyAnswer.filter(({ answer }) => hasOpenssl || !needsOpenssl(answer)))(
  '$answer.name: $answer.verdict',
  ({ answer, id }) => {
    const { code, stdout, stderr } = seen.get(answer) ?? expect.fail('it was not asked');
    expect({ code, stderr }).toMatchObject({ code: EXIT[answer.verdict] });
    if (answer.verdict === 'served') {
      expect(stdout).toMatch(/^[\x21-\x7e]+\n$/);
      return;
    }
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^broker-key: [^\n]+\n$/);
    expect(stderr.trimEnd().length).toBeLessThanOrEqual(400);
    expect(stderr).not.toMatch(/canary|undefined|\[object|…$/);
    const { lastError } = status.credentials.find(({ name }) => name === id) ?? expect.fail('it is not in the status');
    expect(lastError).toMatchObject({
      kind: answer.verdict === 'unusable' ? 'misconfigured' : answer.verdict,
      message: expect.stringMatching(/\S/),
      remedy: expect.stringMatching(/\S/),
    });
  },
);

test.each(loginAnswers)('broker login, $name: $verdict', async (answer) => {
  const { code, stdout, stderr } = seen.get(answer) ?? expect.fail('it was not tried');
  expect({ code, stdout }).toEqual({ code: exitOf(answer.verdict), stdout: '' });
  expect(stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/);
  expect(stderr).not.toMatch(/canary|undefined|\[object/);
});

/** Everything else that a person, a program or a thief can read of a daemon. */
async function everythingShown(): Promise<ReadonlyMap<string, string>> {
  const shown = new Map([['the log', daemon.log]]);
  for (const path of ['/v1/status', '/v1/events?limit=10000', '/v1/config', '/v1/health', '/v1/metrics']) {
    shown.set(path, (await home.get(path)).body);
  }
  for (const words of [['status'], ['events'], ['config', 'show'], ['config', 'validate'], ['doctor', '--json']]) {
    const { stdout, stderr } = await home.broker(...words);
    shown.set(`broker ${words.join(' ')}`, stdout + stderr);
  }
  for (const name of readdirSync(home.stateDir)) {
    shown.set(`STATE/${name}`, readFileSync(join(home.stateDir, name), 'latin1'));
  }
  return shown;
}

test('nothing of all these answers, keys and logins is in the log at level trace, the events, the database or any other output', async () => {
  const shown = await everythingShown();
  // Some commands print what the configuration says in the open.
  const configuration = readFileSync(home.configFile, 'utf8');
  const keys = everyAnswer
    .flatMap(({ answer }) => seen.get(answer)?.stdout.trim() || [])
    .filter((key) => !configuration.includes(key));
  const secrets = [...keys, ...vaults.map(({ rootToken }) => rootToken), PASSWORD, 'wJalrXUtnFEMI', '123456'];
  for (const secret of secrets.filter((each) => each.length >= 6)) {
    const shapes = [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64').slice(0, -4)];
    for (const [where, text] of shown) {
      expect([where, shapes.filter((shape) => shape.length > 7 && text.includes(shape))]).toEqual([where, []]);
    }
  }
  for (const [where, text] of shown)
    expect([where, text.match(/.{0,80}canary.{0,40}/)?.[0]]).toEqual([where, undefined]);
});

test('there are more than sixty, and docs/provider-answers.md tells them all', async ({ skip }) => {
  expect(everyAnswer.length).toBeGreaterThanOrEqual(60);
  if (!hasOpenssl) skip('some of them need the openssl command');
  const chapters = CHAPTERS.map(([title, answers]) => {
    const rows = answers.map((answer) => {
      const { stdout, stderr } = seen.get(answer) ?? expect.fail('it was not asked');
      const said = stdout === '' ? withoutChance(stderr.replace('broker-key: ', '').trim()) : 'the key';
      return `| ${answer.name} | ${answer.verdict} | ${EXIT[answer.verdict]} | ${said.replaceAll('|', '\\|')} |`;
    });
    return `## ${title}\n\n| seen | class | exit | \`broker-key\` says |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  const logins = loginAnswers.map((answer) => {
    const said = withoutChance(seen.get(answer)?.stderr ?? '').replace(/^error: (.+)\nhint: (.+)\n$/, '$1; $2');
    return `| ${answer.name} | ${answer.verdict} | ${exitOf(answer.verdict)} | ${said.replaceAll('|', '\\|')} |`;
  });
  chapters.push(`${LOGINS}\n${logins.join('\n')}\n`);
  await expect(`${INTRODUCTION}\n${chapters.join('\n')}`).toMatchFileSnapshot('../../docs/provider-answers.md');
});

const LOGINS = `## A second factor

\`broker login\` asks for it after a correct password; the daemon itself only says that somebody has to run that command (above).

| seen | class | exit | \`broker login\` says |
|---|---|---|---|`;

const INTRODUCTION = `# What a provider may answer, and what you are told

${everyAnswer.length + loginAnswers.length} answers, each given to a real daemon that has no key yet, and the one line that \`broker-key\` then prints. After a transient
failure the daemon retries for up to nine seconds first. [providers/README.md](providers/README.md) says what the classes mean
when there is a key already; \`unusable\` is a secret that the client would refuse as a key.

\`test/integration/answers.test.ts\` writes this page (with \`-u\` after a change of messages) and fails if it is not up to date.
`;

/** Ports, folders, dates, the mood of the resolver and whether the same Vault answers others meanwhile differ from run to run. */
function withoutChance(line: string): string {
  return (
    line
      // On a busy machine the helper asks when it is some seconds old, and is told that too.
      .replace(/^\d+ s ago: (.*?); next try in \d+ s, or now: broker refresh row-\d+;/, '$1;')
      .replaceAll(home.folder, '~')
      .replaceAll(/(providers\.|provider "|provider of "|broker login )(?:row-\d+|second-factor)/g, '$1prod')
      .replaceAll(/row-\d+/g, 'claude')
      .replaceAll(/127\.0\.0\.1:(?!1\b)\d+/g, 'vault.example:8200')
      .replace(/(did not answer within [\d.]+ s) about \S+;/, '$1;')
      .replaceAll('DNS does not answer (EAI_AGAIN)', 'its name does not exist in DNS (ENOTFOUND)')
      .replaceAll(/until \w{3} +\d+ [\d:]+ (\d{4}) GMT/g, (_, year) =>
        year === '2020' || year === '2099' ? `until Jan ${year}` : 'until …',
      )
  );
}
