import { expect, test } from 'vitest';
import { explainExit, explainUnit } from '../../../src/service/failure.ts';

const ExecStart = '{ path=/opt/node ; argv[]=/opt/node daemon ; ignore_errors=no ; start_time=[n/a] }';

// As `systemctl show` wrote them down for such failures.
test.each([
  ['nothing', { Result: 'success', ExecMainCode: '0', ExecMainStatus: '0' }, undefined],
  ['a configuration', { Result: 'exit-code', ExecMainCode: '1', ExecMainStatus: '78' }, /^refuses its configuration$/],
  ['its configuration too often', { Result: 'start-limit-hit', ExecMainCode: '1', ExecMainStatus: '78' }, /^refuses/],
  [
    'its program',
    { Result: 'exit-code', ExecMainCode: '1', ExecMainStatus: '203', ExecStart },
    /^cannot run \/opt\/node,/,
  ],
  ['namespaces', { Result: 'exit-code', ExecMainCode: '1', ExecMainStatus: '226' }, /sandbox/],
  ['a credential', { Result: 'exit-code', ExecMainCode: '1', ExecMainStatus: '243' }, /credential/],
  [
    'with its own exit code',
    { Result: 'exit-code', ExecMainCode: '1', ExecMainStatus: '1' },
    /^ended with exit code 1$/,
  ],
  ['of a signal', { Result: 'signal', ExecMainCode: '2', ExecMainStatus: '9' }, /^was ended by signal 9$/],
  ['to be ready', { Result: 'timeout', ExecMainCode: '2', ExecMainStatus: '15' }, /^was not ready in time$/],
  ['in a way of later versions', { Result: 'boredom', ExecMainCode: '0', ExecMainStatus: '0' }, /^failed \(boredom\)$/],
])('failed: %s', (_, properties, reason) => {
  const failure = explainUnit(properties);
  if (reason === undefined) return expect(failure).toBeUndefined();
  expect(failure?.reason).toMatch(reason);
  expect(failure?.remedy).toMatch(/broker (?:service|config)|LoadCredential/);
});

test('what the user can fix has the exit code that says so', () => {
  expect(explainExit(0)).toBeUndefined();
  expect(explainExit(78)).toMatchObject({
    code: 'ERR_CONFIG',
    remedy: expect.stringContaining('broker config validate'),
  });
  expect(explainExit(70)).toMatchObject({ code: 'ERR_DAEMON_UNREACHABLE' });
});
