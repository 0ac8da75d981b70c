import type { Broker } from '../broker/broker.ts';
import type { Rotation } from '../cache/rotation.ts';
import type { SqliteCache } from '../cache/sqlite-cache.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { RotationReport } from '../protocol/administration.ts';
import type { Administration } from '../server/administration.ts';

/** What a person may do to a daemon that runs. */
export function administrationOf(broker: Broker, cache: SqliteCache, loaded: () => LoadedConfig): Administration {
  return {
    config: () => ({ file: loaded().config.file, values: loaded().effective }),
    rotateKey: async ({ discard }) => {
      const rotation = cache.rotateKey({ discard });
      // Joined with what was in memory under another key, keys and marks have other digests.
      if (rotation.setAside !== undefined) broker.reloadCache();
      return rotationReport(rotation);
    },
    takeLogin: (provider, token) => broker.takeLogin(provider, token),
  };
}

export function rotationReport({ kekId, home, rewrapped, setAside }: Rotation): RotationReport {
  return { keyId: kekId, home, rewrapped, setAside: setAside ?? null };
}
