import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { helperPath } from '../../src/platform/native.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const HOME = process.env['HOME'] ?? '';
/** In no user database, as of `docker run --user`. */
const UID = 54_321;
const EX_UNAVAILABLE = 69;
const EX_IOERR = 74;
const EX_CONFIG = 78;

function asNobody(home: string | undefined, command: readonly string[]) {
  const become = [`--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--inh-caps=-all'];
  const environment = ['-i', 'PATH=/usr/bin:/bin', ...(home === undefined ? [] : [`HOME=${home}`])];
  return spawnSync('setpriv', [...become, 'env', ...environment, ...command], { encoding: 'utf8', cwd: '/' });
}

const broker = (home: string | undefined, line: string) =>
  asNobody(home, [process.execPath, path.join(ROOT, 'bin', 'broker.mjs'), ...line.split(' ')]);

describe.each(['none', 'that of root', 'the root folder', 'one that is read-only'])(
  'with a home that is %s',
  (kind) => {
    const home =
      kind === 'none' ? undefined : kind === 'the root folder' ? '/' : path.join(HOME, kind.replaceAll(' ', '-'));
    if (kind === 'one that is read-only' && home !== undefined) {
      mkdirSync(home);
      chownSync(home, UID, UID);
      chmodSync(home, 0o500);
    }

    test.each([
      ['daemon', home === undefined ? EX_CONFIG : EX_IOERR],
      ['rotate-key', home === undefined ? EX_CONFIG : EX_UNAVAILABLE],
      ['service install', home === undefined ? EX_CONFIG : EX_IOERR],
      ['claude install', home === undefined ? EX_CONFIG : EX_IOERR],
      ['config validate', EX_CONFIG],
      ['status', EX_UNAVAILABLE],
      ['get', EX_UNAVAILABLE],
      ['completion bash', 0],
    ])('broker %s ends with %i, and says what to set', (line, status) => {
      const ended = broker(home, line);
      expect(ended, ended.stderr).toMatchObject({ status });
      expect(ended.stderr).not.toMatch(/^\s+at |--verbose/m);
      if (line === 'daemon' || (line === 'status' && home === undefined))
        expect(ended.stderr).toMatch(/hint: set HOME/);
    });

    test('the helper ends with 69', () => {
      expect(asNobody(home, [helperPath() ?? ''])).toMatchObject({ status: 69, stdout: '' });
    });
  },
);
