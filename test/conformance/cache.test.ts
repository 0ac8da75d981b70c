import { openMemoryCache } from '../../src/cache/open.ts';
import { openTestCache, temporaryFolder } from '../fakes/cache.ts';
import { describeCache } from './cache-suite.ts';

describeCache('SqliteCache on disk', () => onDisk(false));
describeCache('SqliteCache on a network file system', () => onDisk(true));
describeCache('SqliteCache in memory', () => Promise.resolve({ cache: openMemoryCache() }));

async function onDisk(networkFileSystem: boolean) {
  const folder = temporaryFolder();
  let cache = await openTestCache(folder, { networkFileSystem });
  return {
    cache,
    reopen: async () => {
      cache.close();
      cache = await openTestCache(folder, { networkFileSystem });
      return cache;
    },
  };
}
