import { type ChildProcess, spawn } from 'node:child_process';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { codeOf, type FailureKind, ProviderError } from '../../errors.ts';
import { readRegularFile, readTextQuietly, statQuietly } from '../../platform/files.ts';
import { nodeOptions } from '../../platform/guard.ts';
import { abortable, sleep } from '../../platform/waiting.ts';
import type { HttpAnswer, HttpConnection, HttpPlace, HttpRequest } from '../http.ts';
import type { ProviderHost } from '../provider.ts';

/**
 * A refresh token that is replaced at every use is gone once the server has it, and the new one is in an answer on its way: a
 * daemon that is killed in that moment would lose both, and the person their login. So the one request is made by a process
 * that outlives the daemon and leaves the answer, locked with a key that only the sealed store has, in the state folder.
 */
export interface Errand {
  readonly url: string;
  readonly request: HttpRequest;
  readonly place: HttpPlace;
  /** Only what says how to get out. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly provider: string;
  readonly who: string;
  readonly limitMs: number;
  readonly file: string;
  readonly key: string;
}

/** Nothing: there was no answer, for a reason of our own. */
export interface Outcome {
  readonly answer?: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  };
  readonly failure?: { readonly kind: FailureKind; readonly message: string; readonly remedy?: string | undefined };
}

/** What has to be known to find the answer of an errand again. */
export interface Receipt {
  readonly file: string;
  readonly key: string;
  /** On the steady clock: then nobody is on the way any more. */
  readonly endsAtMs: number;
}

/** Seen from src/providers/oauth2 and from dist/chunks alike. */
const PROGRAM = import.meta.filename.endsWith('.ts')
  ? join(import.meta.dirname, 'courier-main.ts')
  : join(import.meta.dirname, '..', 'oauth2', 'courier-main.js');
/** What a Node needs to find its certificates and its way out; NODE_OPTIONS and the like must not steer it. */
const PASSED_ON = /^(?:https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_(?:FILE|DIR)|HOME|TMPDIR)$/i;
/** The start of a Node, and its end. */
const ROUND_TRIP_MS = 10_000;
const LOOK_MS = 50;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const LARGEST_BYTES = 2 * 1024 * 1024;

export class Courier {
  readonly #place: HttpPlace;
  readonly #host: ProviderHost;
  readonly #who: string;
  readonly #limitMs: number;
  readonly #folder: string | undefined;

  constructor(place: HttpPlace, host: ProviderHost, who: string, limitMs: number) {
    const { ca_file, client_cert_file, client_key_file, proxy } = place;
    this.#place = { ca_file, client_cert_file, client_key_file, proxy };
    this.#host = host;
    this.#who = who;
    this.#limitMs = limitMs;
    this.#folder = host.stateDir;
  }

  /** To be stored before the errand begins; undefined: nothing outlives this process, and it goes itself. */
  prepare(): Receipt | undefined {
    if (this.#folder === undefined) return undefined;
    sweep(this.#folder, this.#host.clock.wall());
    const file = join(this.#folder, `login-${randomBytes(8).toString('hex')}.answer`);
    const key = randomBytes(32).toString('base64');
    return { file, key, endsAtMs: this.#host.clock.now() + this.#limitMs + ROUND_TRIP_MS };
  }

  /** The same as `connection.send`, by the other process. */
  async send(
    receipt: Receipt,
    connection: HttpConnection,
    url: string,
    request: HttpRequest,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { file, key } = receipt;
    const env = Object.fromEntries(Object.entries(this.#host.env).filter(([name]) => PASSED_ON.test(name)));
    const place = { place: this.#place, env, provider: this.#host.name, who: this.#who, limitMs: this.#limitMs };
    const sent = await abortable(signal, () => go({ url, request, file, key, ...place }));
    // A Node that cannot be started has sent nothing.
    if (sent === undefined) return await connection.send(url, request, signal);
    const outcome = unlock(sent, key);
    sent.fill(0);
    return answerIn(outcome ?? {}, this.#who);
  }

  /** What an errand of a former process has brought back; undefined: nothing, and from now on nobody is on the way. */
  async collect({ file, key, endsAtMs }: Receipt): Promise<HttpAnswer | undefined> {
    const { clock } = this.#host;
    for (;;) {
      // Looked at before the file: who has ended has left the answer before.
      const isUnderWay = hasClaimed(file) && clock.now() < endsAtMs;
      const reading = readRegularFile(file, { maxBytes: LARGEST_BYTES, followLinks: false });
      if (reading.state === 'read') {
        const { answer } = unlock(reading.bytes, key) ?? {};
        return answer && { ...answer, body: Buffer.from(answer.body, 'base64') };
      }
      if (!isUnderWay || reading.state === 'refused') return undefined;
      await sleep(LOOK_MS, clock);
    }
  }

  /** The answer is stored, or nobody needs it. */
  forget({ file }: Receipt): void {
    rmSync(file, { force: true });
    rmSync(claimOf(file), { force: true });
  }
}

function claimOf(file: string): string {
  return `${file}.claim`;
}

/** Only one may send the token: who makes this file. Throws if another has. */
export function claim(file: string): void {
  writeFileSync(claimOf(file), String(process.pid), { flag: 'wx', mode: 0o600 });
}

/** Whether a process has, and still runs. If none has, none will. */
function hasClaimed(file: string): boolean {
  try {
    claim(file);
    return false;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') return false;
  }
  const pid = Number(readTextQuietly(claimOf(file), 20) || 0);
  try {
    // It may not have written its number yet.
    return pid === 0 || process.kill(pid, 0);
  } catch {
    return false;
  }
}

const ANSWER = /^login-[0-9a-f]{16}\.answer(?:\.claim)?$/;
const LONG_AGO_MS = 3_600_000;

/** Of a provider that was taken out of the configuration while a token was on its way. */
function sweep(folder: string, nowMs: number): void {
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    if (ANSWER.test(name) && nowMs - (statQuietly(file)?.mtimeMs ?? nowMs) > LONG_AGO_MS) rmSync(file, { force: true });
  }
}

/** What the process wrote; undefined: it could not be started. */
function go(errand: Errand): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      // In a session and group of its own: what ends the daemon's group does not end it.
      child = spawn(process.execPath, [...nodeOptions(), PROGRAM], {
        env: errand.env as Record<string, string>,
        cwd: '/',
        detached: true,
        stdio: ['pipe', 'pipe', 'ignore'],
      });
    } catch {
      resolve(undefined);
      return;
    }
    const chunks: Buffer[] = [];
    child.once('error', () => resolve(undefined));
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    // Whatever happens to its request it tells; one that says nothing and was not killed could not be loaded.
    child.once('close', (code) =>
      resolve(code !== 0 && code !== null && chunks.length === 0 ? undefined : Buffer.concat(chunks)),
    );
    child.stdin?.on('error', () => undefined).end(JSON.stringify(errand));
    // A daemon that stops does not wait for it.
    child.unref();
    (child.stdout as Socket | null)?.unref();
  });
}

function answerIn({ answer, failure }: Outcome, who: string): HttpAnswer {
  if (answer !== undefined) return { ...answer, body: Buffer.from(answer.body, 'base64') };
  const {
    kind = 'transient',
    message = `${who} gave no answer`,
    remedy = 'wait; if it lasts, see its status page',
  } = failure ?? {};
  throw new ProviderError(kind, message, { remedy, concerns: 'address' });
}

/** AES-256-GCM; the key is used once. */
export function lock(content: string, key: string): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'base64'), iv, { authTagLength: TAG_BYTES });
  return Buffer.concat([iv, cipher.update(content, 'utf8'), cipher.final(), cipher.getAuthTag()]);
}

/** undefined: it is not what was locked with this key. */
function unlock(sealed: Buffer, key: string): Outcome | undefined {
  try {
    const options = { authTagLength: TAG_BYTES };
    const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key, 'base64'), sealed.subarray(0, IV_BYTES), options);
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    const parts = [decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()];
    return JSON.parse(Buffer.concat(parts).toString('utf8')) as Outcome;
  } catch {
    return undefined;
  }
}
