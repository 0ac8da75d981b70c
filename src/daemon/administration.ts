import type { Broker } from '../broker/broker.ts';
import type { Rotation } from '../cache/rotation-host.ts';
import type { SqliteCache } from '../cache/sqlite-cache.ts';
import type { LoadedConfig } from '../config/load.ts';
import { KEK_HOME_KINDS, type KekHomeKind } from '../crypto/kek-home.ts';
import { BrokerError } from '../errors.ts';
import type { RotationReport } from '../protocol/administration.ts';
import type { Administration } from '../server/administration.ts';

/** What a person may do to a daemon that runs. */
export function administrationOf(broker: Broker, cache: SqliteCache, loaded: () => LoadedConfig): Administration {
  return {
    config: () => ({ file: loaded().config.file, values: loaded().effective }),
    rotateKey: async ({ discard, to }) => {
      const rotation = await cache.rotateKey({ discard, to: keyHomeNamed(to) });
      // Joined with what was in memory under another key, keys and marks have other digests.
      if (rotation.setAside !== undefined) broker.reloadCache();
      return rotationReport(rotation);
    },
    takeLogin: (provider, token) => broker.takeLogin(provider, token),
  };
}

export function rotationReport({ kekId, home, rewrapped, setAside, left }: Rotation): RotationReport {
  return { keyId: kekId, home, rewrapped, setAside: setAside ?? null, left: left ?? null };
}

/** @throws BrokerError ERR_USAGE for a word that is no home. */
export function keyHomeNamed(word: string | undefined): KekHomeKind | undefined {
  const kind = KEK_HOME_KINDS.find((candidate) => candidate === word);
  if (kind !== undefined || word === undefined) return kind;
  throw new BrokerError('ERR_USAGE', `"${word.slice(0, 40)}" is no home of a key`, {
    remedy: `choose one of: ${KEK_HOME_KINDS.join(', ')}`,
  });
}
