import {
  closeSync,
  futimesSync,
  lstatSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BrokerError, codeOf } from '../errors.ts';
import { replaceFile } from './files.ts';
import { ensurePrivateFolder, flawOf } from './place-rules.ts';

/** `f_type` of statfs(2): file systems that have no disk behind them. */
const MEMORY_TYPES: ReadonlySet<number> = new Set([
  0x01021994, // tmpfs
  0x858458f6, // ramfs
]);

/**
 * absent: it is not there, or not ours any more · unread, read: since it was written · untold: the file system does not keep
 * the time of the last access (noatime).
 */
export type Access = 'absent' | 'unread' | 'read' | 'untold';

/**
 * A secret for programs that can read only a file: in memory, for its owner alone, replaced whole. Whoever reads it is noticed by
 * the time of access, which is set to the epoch when it is written.
 */
export class MemoryFile {
  readonly path: string;
  readonly #uid: number;
  #tells: boolean | undefined;

  constructor(path: string, uid: number) {
    this.path = path;
    this.#uid = uid;
  }

  /**
   * Makes its folder if there is none.
   * @throws BrokerError ERR_UNSAFE_FILE if it would lie on a disk or where others can reach it; ERR_IO.
   */
  write(content: Uint8Array): void {
    try {
      this.#requirePlace();
      this.#tells ??= this.#findOut();
      replaceFile(this.path, content, { mode: 0o600, prepare: (fd) => futimesSync(fd, 0, Date.now() / 1000) });
    } catch (error) {
      if (error instanceof BrokerError) throw error;
      throw new BrokerError('ERR_IO', `${this.path} cannot be written (${codeOf(error)})`, {
        remedy: 'name another file in the sink of the credential, or make its folder your own',
        cause: error,
      });
    }
  }

  access(): Access {
    const stats = lstatSync(this.path, { throwIfNoEntry: false });
    if (stats?.isFile() !== true || stats.uid !== this.#uid) return 'absent';
    if (this.#tells !== true) return 'untold';
    return stats.atimeMs === 0 ? 'unread' : 'read';
  }

  /** Never fails: what cannot be removed expires. */
  remove(): void {
    try {
      if (lstatSync(this.path, { throwIfNoEntry: false })?.isFile() === true) rmSync(this.path, { force: true });
    } catch {}
  }

  #requirePlace(): void {
    const folder = dirname(this.path);
    ensurePrivateFolder(folder, this.#uid);
    const present = lstatSync(this.path, { throwIfNoEntry: false });
    const flaw = present === undefined ? undefined : flawOf(this.path, present, 'private', this.#uid);
    if (flaw !== undefined) throw new BrokerError('ERR_UNSAFE_FILE', flaw.reason, { remedy: flaw.remedy });
    if (isInMemory(folder)) return;
    throw new BrokerError(
      'ERR_UNSAFE_FILE',
      `${folder} is not in memory: a token in a file there could be found on a disk`,
      {
        remedy: 'name a file on a tmpfs in the sink of the credential, like {runtime}/identity-token',
      },
    );
  }

  /** Tried with a file of its own, since mount options do not say what the kernel makes of them. */
  #findOut(): boolean {
    const probe = join(dirname(this.path), `.${process.pid}.broker-tmp`);
    try {
      writeFileSync(probe, '-', { mode: 0o600, flag: 'wx' });
      const fd = openSync(probe, 'r+');
      futimesSync(fd, 0, Date.now() / 1000);
      closeSync(fd);
      readFileSync(probe);
      return statSync(probe).atimeMs !== 0;
    } finally {
      rmSync(probe, { force: true });
    }
  }
}

/** False where the system does not say. */
export function isInMemory(folder: string): boolean {
  try {
    return MEMORY_TYPES.has(Number(BigInt.asUintN(32, BigInt(statfsSync(folder).type))));
  } catch {
    return false;
  }
}
