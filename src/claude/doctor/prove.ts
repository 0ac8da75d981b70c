import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { shellWord } from '../../errors.ts';
import type { AllowWord, Verdict } from '../../platform/attestation.ts';
import { Attestor } from '../../platform/caller-facts.ts';
import type { Clock } from '../../platform/clock.ts';
import { writeEnrolment } from '../../platform/enrolment.ts';
import { loadNative, type NativeBindings, net, socketFd } from '../../platform/native.ts';
import { ProgramRun } from '../../platform/run-program.ts';
import { sleep } from '../../platform/waiting.ts';
import { helperLines } from '../install/enrol.ts';

/** What the rule of `allow` says of the client that is installed: its helper's call is to be served, its hook's is not. */
export interface Proof {
  readonly client: string;
  /** undefined: it did not call within the limit. */
  readonly helper: Verdict | undefined;
  readonly hook: Verdict | undefined;
}

interface ProofOptions {
  /** The client's program. */
  readonly client: string;
  /** The native helper. */
  readonly helper: string;
  readonly uid: number;
  readonly clock: Clock;
  readonly searched: string | undefined;
  /** Clients that are enrolled besides those with usual names. */
  readonly clients: readonly { readonly id: string; readonly path: string }[];
  readonly limitMs?: number;
}

/** A cold start takes one to three seconds. */
const LIMIT_MS = 20_000;
/** Of the two calls one may be the last. */
const BOTH = 2;
const ALLOW: readonly AllowWord[] = ['claude-code'];

/**
 * Starts the client with a home of its own, in which helper and hook are the same recorded line, and looks at both calls as
 * the daemon would. No key is involved, and the client's API is a closed port of this machine. undefined without the addon.
 */
export async function prove(options: ProofOptions): Promise<Proof | undefined> {
  const native = loadNative();
  if (native === undefined) return undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'broker-proof-'));
  try {
    return await proveIn(folder, native, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function proveIn(folder: string, native: NativeBindings, options: ProofOptions): Promise<Proof> {
  const { client, clock, uid } = options;
  const [line, hookLine] = [shellWord(options.helper), `${shellWord(options.helper)} hook`];
  const config = path.join(folder, 'claude');
  for (const name of ['claude', 'project']) mkdirSync(path.join(folder, name), { mode: 0o700 });
  const hooks = { SessionStart: [{ matcher: '', hooks: [{ type: 'command', command: hookLine }] }] };
  const settings = path.join(config, 'settings.json');
  writeFileSync(settings, JSON.stringify({ apiKeyHelper: line, hooks }), { mode: 0o600 });
  const additions = [line, hookLine].map((value) => ({ path: ['apiKeyHelper'], value }));
  writeEnrolment(folder, uid, { lines: helperLines(additions, settings, 'proof'), clients: options.clients });

  const seen: { helper?: Verdict; hook?: Verdict } = {};
  const both = Promise.withResolvers<void>();
  const attestor = new Attestor({ native, uid, stateDir: folder });
  const server = net.createServer((socket) => {
    judge(socket, native, attestor, (name, verdict) => {
      seen[name] ??= verdict;
      if (Object.keys(seen).length === BOTH) both.resolve();
    });
  });
  const socket = path.join(folder, 'broker.sock');
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(socket, resolve));
  // The helper asks no socket that others could reach.
  chmodSync(socket, 0o600);
  const env = environment(folder, config, socket, options.searched);
  const limitMs = options.limitMs ?? LIMIT_MS;
  const run = new ProgramRun([client, '-p', 'ping'], { env, cwd: path.join(folder, 'project'), limitMs }, clock);
  try {
    const late = new AbortController();
    await Promise.race([both.promise, run.ended, sleep(limitMs, clock, late.signal).catch(() => undefined)]);
    late.abort();
  } finally {
    run.stop('SIGKILL');
    await run.ended;
    server.close();
  }
  return { client, helper: seen.helper, hook: seen.hook };
}

type Call = 'helper' | 'hook';

/** The helper says which of the two it is by the name that it asks for, and is told that there is no key. */
function judge(
  socket: Socket,
  native: NativeBindings,
  attestor: Attestor,
  tell: (call: Call, verdict: Verdict) => void,
): void {
  socket.on('error', () => {});
  socket.once('data', (packet: Buffer) => {
    const fd = socketFd(socket);
    if (fd === undefined) return;
    const { pid } = native.peerCredentials(fd);
    const startTime = native.processParent(pid)?.startTime;
    const call = packet.toString('latin1').includes('/credentials/hook/') ? 'hook' : 'helper';
    tell(call, attestor.attest({ pid, startTime }, fd, ALLOW));
    const answer = 'HTTP/1.1 403 No\r\nBroker-Exit-Code: 77\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
    socket.end(answer);
  });
}

/** Nothing of this shell's: what is set in it is neither needed nor to be known to this client. */
function environment(folder: string, config: string, socket: string, searched: string | undefined) {
  return {
    PATH: searched ?? '/usr/bin:/bin',
    SHELL: '/bin/sh',
    HOME: folder,
    TMPDIR: folder,
    CLAUDE_CONFIG_DIR: config,
    CLAUDE_CODE_TMPDIR: folder,
    // Port 1 is never listened on.
    ANTHROPIC_BASE_URL: 'http://127.0.0.1:1',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_TELEMETRY: '1',
    DISABLE_AUTOUPDATER: '1',
    BROKER_SOCKET: socket,
  };
}
