import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCache } from '../../src/cache/open.ts';
import type { SqliteCache } from '../../src/cache/sqlite-cache.ts';
import { silentLog } from '../../src/platform/log.ts';

const FILES = ['cache.db', 'cache.db-wal', 'kek'] as const;

/** The state folder of a simulated daemon, on a real disk, and what a sudden end leaves of it. */
export class Store {
  readonly #root = mkdtempSync(join(tmpdir(), 'broker-simulation-'));
  readonly #wallMs: () => number;
  #generation = 0;
  #cache: SqliteCache | undefined;

  private constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  static async open(wallMs: () => number): Promise<Store> {
    const store = new Store(wallMs);
    await store.#open();
    return store;
  }

  get cache(): SqliteCache {
    if (this.#cache === undefined) throw new TypeError('the store is not open yet');
    return this.#cache;
  }

  /** An orderly end and the next start. */
  async reopen(): Promise<SqliteCache> {
    this.cache.close();
    return await this.#open();
  }

  /**
   * kill -9: the files as they lie there at this moment, while the database is open, are what the next start finds.
   * @param tornBytes that much of the log's end never reached the disk, as after a power cut in the middle of a write.
   */
  async crash(tornBytes: number): Promise<SqliteCache> {
    const from = this.#folder;
    const dead = this.cache;
    this.#generation += 1;
    mkdirSync(this.#folder, { mode: 0o700 });
    for (const file of FILES) {
      const path = join(from, file);
      if (existsSync(path)) copyFileSync(path, join(this.#folder, file));
    }
    const log = join(this.#folder, 'cache.db-wal');
    if (tornBytes > 0 && existsSync(log)) truncateSync(log, Math.max(0, statSync(log).size - tornBytes));
    dead.close();
    rmSync(from, { recursive: true });
    return await this.#open();
  }

  remove(): void {
    this.cache.close();
    rmSync(this.#root, { recursive: true, force: true });
  }

  get #folder(): string {
    return join(this.#root, String(this.#generation));
  }

  async #open(): Promise<SqliteCache> {
    this.#cache = await openCache({ stateDir: this.#folder, log: silentLog, wallMs: this.#wallMs });
    return this.#cache;
  }
}
