import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from './clock.ts';
import { nodeOptions } from './guard.ts';
import { type AskKeyring, type KeyringReply, type KeyringRequest, trouble } from './keyring.ts';
import { findTrouble } from './secret-service.ts';

interface KeyringSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly clock: Clock;
}

/** An answer takes a fifth of a second, most of it the start of a Node; a busy machine may need more. */
const LIMIT_MS = 3_000;
const MAX_REPLY = 20_000;
/** Seen from src/platform and from dist/chunks alike. */
const PROGRAM = join(
  import.meta.dirname,
  '..',
  'platform',
  import.meta.filename.endsWith('.ts') ? 'keyring-main.ts' : 'keyring-main.js',
);
/** What a Node and the keychain need to find the user; NODE_OPTIONS and the like must not steer what holds the key. */
const PASSED_ON = ['HOME', 'USER', 'LOGNAME', 'PATH', 'TMPDIR', 'XDG_RUNTIME_DIR'];

/** The way to this session's keyring; undefined where there is certainly none: no macOS, and no session bus. */
export function keyringOf({ env, platform, clock }: KeyringSurroundings): AskKeyring | undefined {
  const own = Object.fromEntries(PASSED_ON.map((name) => [name, env[name]]));
  if (platform === 'darwin') return (request) => exchange(own, request, request.byPerson ? undefined : LIMIT_MS);
  const bus = sessionBusAddress(env);
  if (bus === undefined) return undefined;
  const childEnv = { ...own, DBUS_SESSION_BUS_ADDRESS: bus };
  return async (request) => {
    const untilMs = clock.now() + LIMIT_MS;
    const { action, service, account, mayStart } = request;
    // As the library names them on an item: SearchItems compares them all.
    const attributes = { service, username: account };
    const obstacle = await findTrouble({ env: childEnv, mayStart, attributes, clock, untilMs });
    if (obstacle !== undefined) return obstacle;
    if (action === 'look') return { outcome: 'usable' };
    return await exchange(childEnv, request, Math.ceil(Math.max(1, untilMs - clock.now())));
  };
}

/** Without the variable, where systemd and everybody after it puts the bus of a user. */
function sessionBusAddress({
  DBUS_SESSION_BUS_ADDRESS,
  XDG_RUNTIME_DIR,
}: KeyringSurroundings['env']): string | undefined {
  if (DBUS_SESSION_BUS_ADDRESS) return DBUS_SESSION_BUS_ADDRESS;
  const path = XDG_RUNTIME_DIR && join(XDG_RUNTIME_DIR, 'bus');
  return path && isSocket(path) ? `unix:path=${path}` : undefined;
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return false;
  }
}

/**
 * A process for every question: the library keeps waiting threads that nothing can end, and what is not loaded here
 * costs a daemon with another home nothing. The standard input stays open until the answer is there, because its end
 * tells the process that the daemon does not wait any more.
 */
function exchange(
  env: Readonly<Record<string, string | undefined>>,
  request: KeyringRequest,
  limitMs: number | undefined,
): Promise<KeyringReply> {
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      child = spawn(process.execPath, [...nodeOptions(), PROGRAM], {
        env,
        ...(limitMs === undefined ? {} : { timeout: limitMs }),
        killSignal: 'SIGKILL',
        stdio: 'pipe',
      });
    } catch (error) {
      resolve(trouble('failed', reasonOf(error)));
      return;
    }
    const chunks: Buffer[] = [];
    let length = 0;
    const settle = (reply: KeyringReply) => {
      for (const chunk of chunks) chunk.fill(0);
      resolve(reply);
      child.stdin?.destroy();
    };
    child.once('error', (error) => settle(trouble('failed', reasonOf(error))));
    child.stdin?.on('error', () => undefined).write(`${JSON.stringify(request)}\n`);
    child.stdout?.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (chunk.at(-1) === 0x0a || length > MAX_REPLY) settle(parse(Buffer.concat(chunks)));
    });
    child.once('close', (code, signal) =>
      settle(signal === 'SIGKILL' ? trouble('silent') : trouble('failed', `it ended with ${signal ?? code}`)),
    );
    child.stderr?.resume();
  });
}

function parse(line: Buffer): KeyringReply {
  try {
    return JSON.parse(line.toString('utf8')) as KeyringReply;
  } catch {
    return trouble('failed', 'its answer cannot be read');
  } finally {
    line.fill(0);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error';
}
