import { envelope, type Handler, NO_CONTENT, NOT_FOUND, type VaultAnswer, type VaultRequest } from './wire.ts';

type Data = Readonly<Record<string, unknown>>;

interface Version {
  readonly data: Data;
  readonly createdAtMs: number;
  deletedAtMs: number | undefined;
  destroyed: boolean;
}

const WRONG_PATH =
  "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation.";

/** What Vault reports as lease_duration of a KV v1 secret without a `ttl` of its own: the system's default, 32 days. */
const DEFAULT_KV1_LEASE_MS = 2_764_800_000;

/** KV v1 at `kv/`, KV v2 at `secret/`, a cubbyhole per token; each namespace has its own. */
export class KeyValue {
  readonly #nowMs: () => number;
  readonly #flat = new Map<string, Data>();
  readonly #versioned = new Map<string, { versions: Version[]; custom: Data | null }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** KV v1: `path` with its mount, e.g. `kv/claude`. */
  writeV1(path: string, data: Data, namespace = ''): void {
    this.#flat.set(key(namespace, path), data);
  }

  /** KV v2: `path` as the API spells it without `data/`, e.g. `secret/claude`. `deletedAtMs` may lie ahead. */
  writeV2(path: string, data: Data, options: { namespace?: string; deletedAtMs?: number; custom?: Data } = {}): number {
    const id = key(options.namespace ?? '', path);
    const secret = this.#versioned.get(id) ?? { versions: [], custom: options.custom ?? null };
    secret.versions.push({ data, createdAtMs: this.#nowMs(), deletedAtMs: options.deletedAtMs, destroyed: false });
    this.#versioned.set(id, secret);
    return secret.versions.length;
  }

  deleteV2(path: string, how: 'delete' | 'destroy' | 'purge' = 'delete', namespace = ''): void {
    const id = key(namespace, path);
    const latest = this.#versioned.get(id)?.versions.at(-1);
    if (how === 'purge') this.#versioned.delete(id);
    else if (latest !== undefined && how === 'delete') latest.deletedAtMs = this.#nowMs();
    else if (latest !== undefined) latest.destroyed = true;
  }

  deleteV1(path: string, namespace = ''): void {
    this.#flat.delete(key(namespace, path));
  }

  readonly handle: Handler = (request) => {
    if (request.path.startsWith('kv/')) return this.#v1(request, key(request.namespace, request.path));
    if (request.path.startsWith('cubbyhole/')) return this.#v1(request, `${request.token}:${request.path}`);
    return request.path.startsWith('secret/') ? this.#v2(request) : undefined;
  };

  #v1(request: VaultRequest, id: string): VaultAnswer {
    if (request.method === 'DELETE') {
      this.#flat.delete(id);
      return NO_CONTENT;
    }
    if (request.method !== 'GET') {
      this.#flat.set(id, request.body);
      return NO_CONTENT;
    }
    const data = this.#flat.get(id);
    if (data === undefined) return NOT_FOUND;
    if (id.includes('cubbyhole/')) return envelope({ data });
    const ttl = Number(data['ttl']);
    return envelope({ data, leaseDurationMs: ttl > 0 ? ttl * 1000 : DEFAULT_KV1_LEASE_MS });
  }

  #v2(request: VaultRequest): VaultAnswer {
    const rest = /^secret\/data\/(.+)$/.exec(request.path)?.[1];
    if (rest === undefined) return envelope({ warnings: [WRONG_PATH] }, 404);
    const id = key(request.namespace, `secret/${rest}`);
    if (request.method !== 'GET') return this.#putV2(request, `secret/${rest}`, id);
    const secret = this.#versioned.get(id);
    const number = Number(request.query.get('version') ?? 0) || (secret?.versions.length ?? 0);
    const version = secret?.versions[number - 1];
    if (secret === undefined || version === undefined) return NOT_FOUND;
    const dead = version.destroyed || (version.deletedAtMs ?? Number.POSITIVE_INFINITY) <= this.#nowMs();
    return envelope(
      { data: { data: dead ? null : version.data, metadata: this.#metadata(id, number) } },
      dead ? 404 : 200,
    );
  }

  #putV2(request: VaultRequest, path: string, id: string): VaultAnswer {
    const data = (request.body['data'] ?? {}) as Data;
    const number = this.writeV2(path, data, { namespace: request.namespace });
    return envelope({ data: this.#metadata(id, number) });
  }

  #metadata(id: string, number: number): Data {
    const secret = this.#versioned.get(id);
    const version = secret?.versions[number - 1];
    const { createdAtMs = 0, deletedAtMs, destroyed = false } = version ?? {};
    return {
      created_time: new Date(createdAtMs).toISOString(),
      custom_metadata: secret?.custom ?? null,
      deletion_time: deletedAtMs === undefined ? '' : new Date(deletedAtMs).toISOString(),
      destroyed,
      version: number,
    };
  }
}

function key(namespace: string, path: string): string {
  return `${namespace}|${path}`;
}
