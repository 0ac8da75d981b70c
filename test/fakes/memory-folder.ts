import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { isInMemory } from '../../src/platform/memory-file.ts';

const SHARED_MEMORY = '/dev/shm';

/** Whether this machine has a file system in memory that everybody may use. */
export const hasMemoryFolder = isInMemory(SHARED_MEMORY);

/** A folder of its own there; the caller removes it. */
export function memoryFolder(): string {
  return mkdtempSync(join(SHARED_MEMORY, 'broker-test-'));
}
