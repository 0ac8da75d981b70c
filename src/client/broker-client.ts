import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import {
  launchFile,
  notSetUp,
  ownStateDir,
  type PathInputs,
  socketCandidates,
  stateDirOrNone,
} from '../config/paths.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { readRefusal } from '../platform/refusal.ts';
import { isLockHeld, readLockHolder } from '../platform/state-lock.ts';
import { errorOfProblem } from '../protocol/problem.ts';
import type {
  BrokerEvent,
  CheckReport,
  ConfigReport,
  CredentialStatus,
  HealthReport,
  LoginReport,
  RotationReport,
  RotationRequest,
  StatusReport,
} from '../protocol/reports.ts';
import {
  CLIENT_HINTS,
  CLIENT_INTERVAL,
  DEFAULT_CREDENTIAL,
  KEY_EXPIRES,
  KEY_STATE,
  KEY_VERSION,
} from '../protocol/request.ts';
import { readLines, Transport, type TransportOptions, type WireAnswer, type WireRequest } from './transport.ts';

interface KeyQuestion {
  /** Undefined: the configured default. */
  readonly credential: string | undefined;
  /** Default raw. */
  readonly format?: string | undefined;
  /** How long the caller keeps it. */
  readonly intervalMs?: number | undefined;
  readonly hints?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ServedKey {
  /** The caller wipes it. */
  readonly body: Buffer;
  readonly version: string | undefined;
  /** RFC 3339. */
  readonly expiresAt: string | undefined;
  readonly state: string | undefined;
  /** Since the provider last confirmed the key. */
  readonly ageSeconds: number | undefined;
}

interface EventsQuestion {
  readonly afterId?: number | undefined;
  readonly limit?: number | undefined;
  readonly credential?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The helper's own: the client starts to grumble at 10 s. */
const KEY_LIMIT_MS = 9_500;
const LOOK_LIMIT_MS = 10_000;
/** A provider may take ten minutes (`timeout` of a command), and the person who waits can interrupt. */
const REFRESH_LIMIT_MS = 660_000;

interface Caller extends PathInputs {
  readonly clock: Clock;
}

/**
 * A client of the daemon that this environment points to.
 *
 * @throws BrokerError ERR_CONFIG for variables that make no sense.
 */
export function connect(caller: Caller): BrokerClient {
  const { clock } = caller;
  return new BrokerClient({
    places: socketCandidates(caller),
    uid: acceptedUid(caller),
    clock,
    whyNone: () => refusalFor(caller) ?? notSetUp(caller),
    startRemedy: () => startRemedy(caller),
  });
}

/** `service start` says of a service that was never installed no more than that, and starts none that listens elsewhere. */
function startRemedy(caller: Caller): string {
  const folder = stateDirOrNone(caller);
  const elsewhere = folder && listensElsewhere(folder, caller);
  if (elsewhere !== undefined)
    return `the daemon listens at ${elsewhere}: set BROKER_SOCKET to that, or unset it; or stop it: broker service stop`;
  const isInstalled = folder !== undefined && existsSync(launchFile(folder));
  return `start it: broker service ${isInstalled ? 'start' : 'install'}, or broker daemon in a terminal`;
}

/** The socket of the daemon that has this state folder, if it lives and that is not one of those that were tried. */
function listensElsewhere(folder: string, caller: Caller): string | undefined {
  const file = join(ownStateDir(folder), 'lock');
  const socket = isLockHeld(file, undefined) ? readLockHolder(file)?.socket : undefined;
  if (socket == null || socketCandidates(caller).some((candidate) => candidate.path === socket)) return undefined;
  return socket;
}

/** What the last daemon of this user said, where this user's own is asked for. */
function refusalFor(caller: Caller): BrokerError | undefined {
  const { env, uid, clock } = caller;
  const folder = stateDirOrNone(caller);
  if (env['BROKER_SERVER_UID'] || folder === undefined) return undefined;
  return readRefusal(ownStateDir(folder), uid, clock.wall());
}

/** The configuration as the daemon has it in force; undefined if none answers. */
export async function daemonConfig(caller: Caller): Promise<ConfigReport | undefined> {
  try {
    return await connect(caller).config();
  } catch (error) {
    if (error instanceof BrokerError) return undefined;
    throw error;
  }
}

/** What chown(2) takes for "nobody's". */
const NO_UID = 0xffff_ffff;

/** In a container the daemon's socket may seem to belong to another user; only an explicit socket may, though. */
function acceptedUid({ env, uid }: PathInputs): number {
  const named = env['BROKER_SERVER_UID'];
  if (named === undefined || named === '') return uid;
  if (!env['BROKER_SOCKET']) {
    throw new BrokerError('ERR_CONFIG', 'BROKER_SERVER_UID is valid only together with BROKER_SOCKET', {
      remedy: 'set both or neither',
    });
  }
  if (/^\d{1,10}$/.test(named) && Number(named) < NO_UID) return Number(named);
  throw new BrokerError('ERR_CONFIG', `BROKER_SERVER_UID must be a number, not ${named.slice(0, 40)}`, {
    remedy: 'set it to the uid that the daemon runs as, or unset it',
  });
}

/** What the CLI asks the daemon. Every method rejects with a BrokerError, the daemon's own where it answered with one. */
export class BrokerClient {
  readonly #transport: Transport;

  constructor(options: TransportOptions) {
    this.#transport = new Transport(options);
  }

  async key({ credential, format, intervalMs, hints, signal }: KeyQuestion): Promise<ServedKey> {
    const path = `${credentialPath(credential)}/key${format === undefined ? '' : `?format=${encodeURIComponent(format)}`}`;
    const headers: Record<string, string> = {};
    if (intervalMs !== undefined) headers[CLIENT_INTERVAL] = String(intervalMs);
    if (hints !== undefined) headers[CLIENT_HINTS] = hints;
    const answer = await this.#ask({ method: 'GET', path, headers, signal, timeoutMs: KEY_LIMIT_MS });
    const version = text(answer, KEY_VERSION);
    const age = text(answer, 'age');
    return {
      body: answer.body,
      version: version === undefined ? undefined : decodeURIComponent(version),
      expiresAt: text(answer, KEY_EXPIRES),
      state: text(answer, KEY_STATE),
      ageSeconds: age === undefined ? undefined : Number(age),
    };
  }

  refresh(credential: string | undefined, signal?: AbortSignal): Promise<CredentialStatus> {
    return this.#post(`${credentialPath(credential)}/refresh`, signal);
  }

  async refreshAll(): Promise<readonly CredentialStatus[]> {
    const { credentials } = await this.#post<{ credentials: readonly CredentialStatus[] }>('/v1/refresh');
    return credentials;
  }

  check(credential: string | undefined): Promise<CheckReport> {
    return this.#post(`${credentialPath(credential)}/check`);
  }

  invalidate(credential: string | undefined): Promise<CredentialStatus> {
    return this.#post(`${credentialPath(credential)}/invalidate`);
  }

  async status(signal?: AbortSignal): Promise<StatusReport> {
    return parse(await this.#ask({ method: 'GET', path: '/v1/status', signal, timeoutMs: LOOK_LIMIT_MS }));
  }

  /** The configuration as the daemon has it in force. */
  async config(): Promise<ConfigReport> {
    return parse(await this.#ask({ method: 'GET', path: '/v1/config', timeoutMs: LOOK_LIMIT_MS }));
  }

  /** A new key-encryption key, in another home if `to` says so; `discard`: what a lost one sealed is set aside. */
  rotateKey({ discard, to }: RotationRequest): Promise<RotationReport> {
    const query = new URLSearchParams({ ...(discard && { discard: '1' }), ...(to !== undefined && { to }) }).toString();
    return this.#post(`/v1/rotate-key${query === '' ? '' : `?${query}`}`);
  }

  /** Hands over the token of a login that a person has made. The caller wipes it. */
  async takeLogin(provider: string, token: SecretBytes): Promise<LoginReport> {
    const path = `/v1/providers/${encodeURIComponent(provider)}/login`;
    const headers = { 'content-type': 'text/plain' };
    return parse(await this.#ask({ method: 'POST', path, headers, body: token.bytes, timeoutMs: REFRESH_LIMIT_MS }));
  }

  dropLogin(provider: string): Promise<{ readonly provider: string }> {
    return this.#post(`/v1/providers/${encodeURIComponent(provider)}/logout`);
  }

  /** A daemon in bad health answers, too; it rejects only if none does. */
  async health(): Promise<HealthReport> {
    const answer = await this.#transport.request({ method: 'GET', path: '/v1/health', timeoutMs: LOOK_LIMIT_MS });
    return parse(answer);
  }

  async events(question: EventsQuestion): Promise<readonly BrokerEvent[]> {
    const { signal } = question;
    const answer = await this.#ask({ method: 'GET', path: eventsPath(question), signal, timeoutMs: LOOK_LIMIT_MS });
    const lines = answer.body.toString().split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as BrokerEvent);
  }

  /** Ends when the signal aborts or the daemon stops. */
  async *followEvents(question: EventsQuestion): AsyncGenerator<BrokerEvent> {
    const { signal } = question;
    const path = `${eventsPath(question)}&follow=1`;
    const response = await this.#transport.stream({ method: 'GET', path, signal, timeoutMs: LOOK_LIMIT_MS });
    const end = () => response.destroy();
    signal?.addEventListener('abort', end, { once: true });
    try {
      signal?.throwIfAborted();
      if (response.statusCode !== 200) throw failure(response.statusCode ?? 0, await contentOf(response));
      for await (const line of readLines(response)) yield JSON.parse(line) as BrokerEvent;
    } catch (error) {
      if (error instanceof BrokerError) throw error;
      // Broken off: by us, or by a daemon that stops.
      if (!signal?.aborted && !response.readableAborted && !response.destroyed) throw error;
    } finally {
      signal?.removeEventListener('abort', end);
      response.destroy();
    }
  }

  async #post<T>(path: string, signal?: AbortSignal): Promise<T> {
    return parse(await this.#ask({ method: 'POST', path, signal, timeoutMs: REFRESH_LIMIT_MS }));
  }

  async #ask(request: WireRequest): Promise<WireAnswer> {
    const answer = await this.#transport.request(request);
    if (answer.status === 200) return answer;
    throw failure(answer.status, answer.body.toString());
  }
}

function credentialPath(credential: string | undefined): string {
  return `/v1/credentials/${encodeURIComponent(credential ?? DEFAULT_CREDENTIAL)}`;
}

function eventsPath({ afterId, limit, credential }: EventsQuestion): string {
  const query = new URLSearchParams();
  if (afterId !== undefined) query.set('after', String(afterId));
  if (limit !== undefined) query.set('limit', String(limit));
  if (credential !== undefined) query.set('credential', credential);
  return `/v1/events?${query}`;
}

function text({ headers }: WireAnswer, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function parse<T>({ body, status }: WireAnswer): T {
  try {
    return JSON.parse(body.toString()) as T;
  } catch {
    throw failure(status, '');
  }
}

function failure(status: number, body: string): BrokerError {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    document = undefined;
  }
  return (
    errorOfProblem(document) ??
    new BrokerError('ERR_IO', `what listens on the socket does not answer as a broker does (HTTP status ${status})`, {
      remedy: 'restart it: broker service stop, then broker service start',
    })
  );
}

async function contentOf(stream: Readable): Promise<string> {
  let content = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) content += chunk.toString();
  return content;
}
