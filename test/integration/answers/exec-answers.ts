import type { Answer, Verdict } from './answer.ts';

function command(name: string, verdict: Verdict, words: readonly string[], options = '', credential = ''): Answer {
  return {
    name: `command: ${name}`,
    verdict,
    arrange: () => ({ provider: `type = "exec"\ncommand = ${JSON.stringify(words)}\n${options}`, credential }),
  };
}

const shell = (script: string) => ['/bin/sh', '-c', script];

export const execAnswers: readonly Answer[] = [
  command('it is not there', 'misconfigured', ['no-such-program-of-ours', 'read']),
  command('it prints nothing', 'misconfigured', ['/bin/true']),
  command('it fails', 'transient', shell('echo "cannot reach the backend" >&2; exit 3')),
  command('it wants a login', 'login-expired', shell('echo "ERROR: run: gcloud auth login" >&2; exit 1')),
  command('its prompt was dismissed', 'login-expired', shell('echo "authorization prompt dismissed" >&2; exit 1')),
  command(
    'its prompt was dismissed, in a pipeline',
    'login-expired',
    shell('(echo "authorization prompt dismissed" >&2) | tr -d x'),
  ),
  command(
    'its vault is locked',
    'login-expired',
    shell('bw() { echo "Vault is locked." >&2; exit 1; }; bw get password claude'),
  ),
  command('a program in its script is not there', 'misconfigured', shell('no-such-program-of-ours read')),
  command('it takes too long', 'transient', shell('sleep 20'), 'timeout = "300ms"'),
  command('a status that means denied', 'denied', shell('echo "no access" >&2; exit 4'), 'denied_status = [4]'),
  command('it prints null', 'unusable', ['/bin/echo', 'null']),
  command(
    'it prints a long number in JSON',
    'served',
    ['/bin/echo', '{"key":12345678901234567890}'],
    '',
    'field = "key"',
  ),
  command('it prints two lines', 'unusable', shell('printf "sk-%s\\n" can""ary done')),
];
