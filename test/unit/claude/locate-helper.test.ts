import path from 'node:path';
import { expect, test } from 'vitest';
import { locateHelper } from '../../../src/claude/install/targets.ts';
import { PACKAGE_ROOT } from '../../../src/platform/native.ts';
import { TemporaryHome } from './home.ts';

test('the helper of this installation is found from the source tree and from dist, and goes before a foreign one on PATH', () => {
  using home = new TemporaryHome();
  home.write('bin/broker-key', '#!/bin/sh\n', 0o755);
  expect(locateHelper({ PATH: home.path('bin') })).toBe(path.join(PACKAGE_ROOT, 'bin', 'broker-key'));
});
