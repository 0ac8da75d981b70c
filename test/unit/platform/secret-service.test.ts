import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/platform/clock.ts';
import { findTrouble } from '../../../src/platform/secret-service.ts';
import { temporaryFolder } from '../../fakes/cache.ts';

const DEFAULT = '{"type":"o","data":["/org/freedesktop/secrets/collection/login"]}';
const OPEN = '{"type":"b","data":false}';
const NOTHING_LOCKED = '{"type":"aoao","data":[["/org/freedesktop/secrets/collection/login/1"],[]]}';

/** Asks a `busctl` that answers like this, in shell, to `ReadAlias`, `Locked` and `SearchItems`. */
async function look(alias: string, locked?: string, items?: string, limitMs?: number) {
  const folder = temporaryFolder();
  const script = `#!/bin/sh\ncase "$*" in *ReadAlias*) ${alias};; *Locked) ${locked ?? say(OPEN)};; *SearchItems*) ${items ?? say(NOTHING_LOCKED)};; esac\n`;
  writeFileSync(join(folder, 'busctl'), script, { mode: 0o755 });
  return await lookWith(`${folder}:/usr/bin:/bin`, limitMs);
}

async function lookWith(path: string, limitMs = 20_000) {
  const clock = new SystemClock();
  const attributes = { service: 'apikey-broker', username: 'f00d' };
  const untilMs = clock.now() + limitMs;
  return (await findTrouble({ env: { PATH: path }, mayStart: false, attributes, clock, untilMs }))?.why;
}

const say = (answer: string) => `echo '${answer}'`;
const fails = (words: string) => `echo '${words}' >&2; exit 1`;

describe('the Secret Service, as busctl of systemd 252 tells of it,', () => {
  it('is open', async () => {
    expect(await look(say(DEFAULT))).toBeUndefined();
  });

  it.each([
    ['no-bus', 'Failed to connect to bus: No such file or directory'],
    ['no-service', 'Call failed: Name "org.freedesktop.secrets" does not exist'],
    ['no-service', 'Call failed: The name org.freedesktop.secrets was not provided by any .service files'],
    ['no-service', 'Call failed: Process org.freedesktop.secrets exited with status 1'],
    ['no-service', 'Call failed: Failed to execute program org.freedesktop.secrets: No such file or directory'],
    ['silent', 'Call failed: Connection timed out'],
    ['failed', 'Call failed: Access denied'],
  ])('%s: %s', async (why, words) => {
    expect(await look(fails(words))).toBe(why);
  });

  it.each([
    ['no-collection', say('{"type":"o","data":["/"]}')],
    ['no-collection', say('{"type":"o","data":["/org/freedesktop/secrets/collection/session"]}')],
    ['failed', say('o /org/freedesktop/secrets')],
    ['locked', say(DEFAULT), say('{"type":"b","data":true}')],
    ['locked', say(DEFAULT), say(OPEN), say('{"type":"aoao","data":[[],["/locked/item"]]}')],
  ])('%s where it says %s', async (why, ...answers: [string, string?, string?]) => {
    expect(await look(...answers)).toBe(why);
  });

  it('does not answer in time', async () => {
    expect(await look('sleep 9', undefined, undefined, 200)).toBe('silent');
  });

  it('cannot be looked at without busctl', async () => {
    expect(await lookWith('/nowhere')).toBe('no-busctl');
  });
});
