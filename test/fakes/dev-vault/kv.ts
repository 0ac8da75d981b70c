import { type ApiAnswer, envelope, idOf, KeyValue, NOT_FOUND } from '../../../src/demo/vault.ts';
import { type DevRequest, NO_CONTENT } from './request.ts';

type Data = Readonly<Record<string, unknown>>;

const WRONG_PATH =
  "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation.";

/** What Vault reports as lease_duration of a KV v1 secret without a `ttl` of its own: the system's default, 32 days. */
const DEFAULT_KV1_LEASE_MS = 2_764_800_000;

/** Also KV v1 at `kv/` and a cubbyhole per token; each namespace has its own. */
export class EveryKeyValue extends KeyValue {
  readonly #flat = new Map<string, Data>();

  /** KV v1: `path` with its mount, e.g. `kv/claude`. */
  writeV1(path: string, data: Data, namespace = ''): void {
    this.#flat.set(idOf(path, namespace), data);
  }

  deleteV1(path: string, namespace = ''): void {
    this.#flat.delete(idOf(path, namespace));
  }

  /** `deletedAtMs` may lie ahead. */
  override writeV2(
    path: string,
    data: Data,
    { namespace = '', deletedAtMs, custom }: { namespace?: string; deletedAtMs?: number; custom?: Data } = {},
  ) {
    const written = super.writeV2(path, data, { namespace });
    if (deletedAtMs !== undefined) written.metadata.deletion_time = new Date(deletedAtMs).toISOString();
    if (custom !== undefined) written.metadata.custom_metadata = custom;
    return written;
  }

  deleteV2(path: string, how: 'delete' | 'destroy' | 'purge' = 'delete', namespace = ''): void {
    const id = idOf(path, namespace);
    const latest = this.versions.get(id)?.at(-1)?.metadata;
    if (how === 'purge') this.versions.delete(id);
    else if (latest !== undefined && how === 'delete') latest.deletion_time = new Date(this.nowMs()).toISOString();
    else if (latest !== undefined) latest.destroyed = true;
  }

  override handle(request: DevRequest): ApiAnswer | undefined {
    const { path, namespace, method, token } = request;
    if (path.startsWith('kv/')) return this.#v1(request, idOf(path, namespace));
    if (path.startsWith('cubbyhole/')) return this.#v1(request, `${token}:${path}`);
    if (!path.startsWith('secret/')) return undefined;
    if (!path.startsWith('secret/data/')) return envelope({ warnings: [WRONG_PATH] }, 404);
    return method === 'GET' ? super.handle(request) : this.#put(request);
  }

  #v1(request: DevRequest, id: string): ApiAnswer {
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

  #put({ path, body, namespace }: DevRequest): ApiAnswer {
    const { metadata } = this.writeV2(path.replace('/data/', '/'), (body['data'] ?? {}) as Data, { namespace });
    return envelope({ data: metadata });
  }
}
