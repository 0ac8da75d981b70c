import { helperPath } from '../../src/platform/native.ts';
import { findInstalled } from '../installed.ts';
import { type Bench, KEY, preparedHome, Server } from '../lab.ts';
import { applyLoad, type Load, type LoadResult } from '../load.ts';
import { GitCache, HOW_TO_GET_AWS_AGENT, installPeers, type PeerServer, Peers } from '../peers.ts';
import type { Ratio, Section, Target } from '../results.ts';
import { median, ratioOf, summarize } from '../statistics.ts';
import { type Candidate, type Timed, timeCommands } from '../stopwatch.ts';

const NOTHING = 'true';
const OURS = 'broker-key';
const CONNECTIONS = [1, 64] as const;

/** Section 8: the same work by the programs that people use instead: one key on stdout, and the servers behind them. */
export async function measurePeers(bench: Bench): Promise<Section> {
  const installed = installPeers(bench);
  const home = preparedHome(bench.folder);
  const git = new GitCache(bench.folder);
  const daemon = await Server.daemon(home);
  const bare = await Server.bare(bench.folder);
  const peers = new Peers();
  try {
    await peers.start(bench, installed);
    bench.say('peers: one key on standard output');
    const env = {
      ...home.env,
      ...git.env,
      AWS_ACCESS_KEY_ID: 'none',
      AWS_SECRET_ACCESS_KEY: 'none',
      AWS_DEFAULT_REGION: 'eu-west-1',
    };
    const [many, few] = bench.effort.quick ? [100, 5] : [500, 20];
    const timed = await timeCommands(bench.programs, many, fastOnes(peers, git), env);
    const slow = await timeCommands(bench.programs, few, slowOnes(peers, installed.aws), env);
    const loads = await measureServers(bench, daemon.socket, bare.socket, peers.servers);
    return describe([...timed, ...slow.slice(1)], timed, loads);
  } finally {
    await peers.end();
    await bare.end();
    await daemon.end();
    git.end();
    await home.close();
  }
}

const shell = (command: string) => ['/bin/sh', '-c', command] as const;

function fastOnes({ servers }: Peers, { question }: GitCache): Candidate[] {
  const [git, curl, jq] = ['git', 'curl', 'jq'].map(findInstalled);
  const gitCommand = `${git} credential-cache get | sed -n s/^password=//p`;
  return [
    { name: NOTHING, argv: shell(NOTHING) },
    { name: OURS, argv: shell(helperPath() ?? ''), prints: KEY },
    ...(git === undefined
      ? []
      : [{ name: 'git credential-cache get | sed', argv: shell(gitCommand), input: question, prints: KEY }]),
    ...(curl === undefined || jq === undefined
      ? []
      : servers.map((server) => ({ name: nameOf(server), argv: shell(askWith(curl, jq, server)), prints: KEY }))),
  ];
}

function nameOf({ name }: PeerServer): string {
  return `curl | jq, of ${name}`;
}

function askWith(curl: string, jq: string, { port, path, header, filter }: PeerServer): string {
  const headers = header === undefined ? '' : `-H '${header}' `;
  return `${curl} -sS ${headers}'http://127.0.0.1:${port}${path}' | ${jq} -er ${filter}`;
}

function slowOnes({ aws: server }: Peers, aws: string | undefined): Candidate[] {
  const ask = `--endpoint-url ${server.url} secretsmanager get-secret-value --secret-id prod/claude --query SecretString --output text`;
  return [
    { name: OURS, argv: shell(helperPath() ?? '') },
    ...(aws === undefined
      ? []
      : [{ name: 'aws secretsmanager get-secret-value', argv: shell(`${aws} ${ask}`), prints: KEY } as const]),
  ];
}

interface ServerLoads {
  readonly name: string;
  /** By the number of connections. */
  readonly results: ReadonlyMap<number, readonly LoadResult[]>;
}

/** Each connection is one request, as a helper's is; all in turn within each round. */
async function measureServers(
  bench: Bench,
  socket: string,
  bare: string,
  servers: readonly PeerServer[],
): Promise<readonly ServerLoads[]> {
  const [rounds, milliseconds] = bench.effort.quick ? [3, 400] : [7, 700];
  const candidates = [
    { name: OURS, address: socket, request: {} },
    { name: 'bare node:http', address: bare, request: {} },
    ...servers.map(({ name, port, path, header }) => ({
      name,
      address: String(port),
      request: { path, ...(header === undefined ? {} : { header }) } satisfies Partial<Load>,
    })),
  ];
  const all = candidates.map(({ name }) => ({ name, results: new Map<number, LoadResult[]>() }));
  for (const connections of CONNECTIONS) {
    bench.say(`peers: ${connections} connections`);
    for (let round = -1; round < rounds; round += 1) {
      for (let turn = 0; turn < candidates.length; turn += 1) {
        const index = (turn + round + 1) % candidates.length;
        const { address = '', request } = candidates[index] ?? {};
        const load = { connections, clients: connections, keepAlive: false, milliseconds, ...request };
        const result = await applyLoad(bench, address, load);
        // The first round is there to warm them up.
        if (round < 0) continue;
        const results = all[index]?.results;
        results?.set(connections, [...(results.get(connections) ?? []), result]);
      }
    }
  }
  return all;
}

function describe(all: readonly Timed[], interleaved: readonly Timed[], loads: readonly ServerLoads[]): Section {
  const timed = (name: string) => interleaved.find((each) => each.name === name)?.micros ?? [];
  const ours = timed(OURS);
  const rate = (name: string, connections: number) =>
    loads
      .find((each) => each.name === name)
      ?.results.get(connections)
      ?.map(({ perSecond }) => perSecond) ?? [];
  const targets: Target[] = [];
  const ratios: Record<string, Ratio> = {};
  for (const { name } of loads.slice(2)) {
    const isAgent = name.startsWith('AWS');
    const ahead = ratioOf(timed(nameOf({ name } as PeerServer)), ours);
    targets.push({
      what: `curl and jq at ${name}, p50`,
      sense: 'at least',
      limit: 15,
      value: ahead,
      unit: '× broker-key',
    });
    for (const [connections, limit] of [[1, isAgent ? 1.2 : 1] as const, [64, isAgent ? 0.7 : 1] as const]) {
      const value = ratioOf(rate(OURS, connections), rate(name, connections));
      const what = `${connections} connections, close, answers/s`;
      targets.push({ what, sense: 'at least', limit, value, unit: `× ${name}` });
      ratios[`peers.${isAgent ? 'aws-agent' : 'openbao-proxy'}.${connections}`] = { value, better: 'higher' };
    }
  }
  return {
    title: '8. Peers: the same work by what people use instead',
    words: [
      'One key on standard output through `/bin/sh -c`, as Claude Code runs its helper; that it is the right one is seen before the clock runs. The peers are on this machine and have the key at hand as far as they keep one: AWS Secrets Manager Agent answers from its memory, OpenBao Proxy asks its server for a KV secret every time. Then the servers alone, over Unix sockets for us and the bare one, over TCP for those that speak nothing else; a connection for each request.',
      `AWS Secrets Manager Agent is measured if it is given: ${HOW_TO_GET_AWS_AGENT}. The rest is installed by the benchmark.`,
    ],
    tables: [
      {
        heads: ['command', 'p50 ms', 'p99 ms', 'of broker-key', 'noise', 'runs'],
        rows: all.map(({ name, micros }) => {
          const { p50, p99, noise, runs } = summarize(micros);
          const times = (p50 / summarize(ours).p50).toFixed(1);
          return [
            `\`${name.replaceAll('|', '\\|')}\``,
            (p50 / 1000).toFixed(2),
            (p99 / 1000).toFixed(2),
            `${times} ×`,
            `± ${(noise * 100).toFixed(0)} %`,
            String(runs),
          ];
        }),
      },
      {
        heads: ['connections', 'server', 'answers/s', 'of ours', 'p50 µs', 'p99 µs'],
        rows: CONNECTIONS.flatMap((connections) =>
          loads.map(({ name, results }) => {
            const of = results.get(connections) ?? [];
            return [
              String(connections),
              name === OURS ? 'broker' : name,
              median(rate(name, connections)).toFixed(0),
              `${(ratioOf(rate(name, connections), rate(OURS, connections)) * 100).toFixed(0)} %`,
              ...(['p50', 'p99'] as const).map((which) => median(of.map((result) => result[which])).toFixed(0)),
            ];
          }),
        ),
      },
    ],
    targets,
    plots: [],
    ratios,
    figures: {
      commands: all.map(({ name, micros }) => ({ name, ...summarize(micros) })),
      servers: loads.map(({ name, results }) => ({ name, results: Object.fromEntries(results) })),
    },
  };
}
