import type { Answer, Verdict } from './answer.ts';

function command(name: string, verdict: Verdict, words: readonly string[], options = ''): Answer {
  return {
    name: `command: ${name}`,
    verdict,
    arrange: () => ({ provider: `type = "exec"\ncommand = ${JSON.stringify(words)}\n${options}`, credential: '' }),
  };
}

const shell = (script: string) => ['/bin/sh', '-c', script];

export const execAnswers: readonly Answer[] = [
  command('it is not there', 'misconfigured', ['no-such-program-of-ours', 'read']),
  command('it prints nothing', 'misconfigured', ['/bin/true']),
  command('it fails', 'transient', shell('echo "cannot reach the backend" >&2; exit 3')),
  command('it wants a login', 'login-expired', shell('echo "ERROR: run: gcloud auth login" >&2; exit 1')),
  command('it takes too long', 'transient', shell('sleep 20'), 'timeout = "300ms"'),
  command('a status that means denied', 'denied', shell('echo "no access" >&2; exit 4'), 'denied_status = [4]'),
  command('it prints two lines', 'unusable', shell('echo sk-canary; echo done')),
];
