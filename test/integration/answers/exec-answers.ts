import type { Answer, Verdict } from './answer.ts';

function command(name: string, verdict: Verdict, words: readonly string[], options = '', credential = ''): Answer {
  return {
    name: `command: ${name}`,
    verdict,
    arrange: () => ({ provider: `type = "exec"\ncommand = ${JSON.stringify(words)}\n${options}`, credential }),
  };
}

const shell = (script: string) => ['/bin/sh', '-c', script];

/** What a tool with a preset says on stderr; the arguments of the preset follow the script. */
function tool(preset: string, name: string, verdict: Verdict, said: string, words = ''): Answer {
  const script = `printf '%s\\n' "${said}" >&2; exit 1`;
  return { ...command(name, verdict, shell(script), `preset = "${preset}"`, words), name: `${preset}: ${name}` };
}

const REFERENCE = 'reference = "op://dev/claude/key"';

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
  command(
    'it prints JSON with a comma too many',
    'misconfigured',
    shell(`printf '{"key":"sk-can'; printf 'ary",}'`),
    '',
    'field = "key"',
  ),
  command('it prints two lines', 'unusable', shell('printf "sk-%s\\n" can""ary done')),
  tool('1password', 'no such item', 'misconfigured', "[ERROR] 'claude' isn't an item in the 'dev' vault.", REFERENCE),
  tool(
    '1password',
    'too many requests',
    'transient',
    '[ERROR] 2023/06/26 11:55:32 (429) Too Many Requests: Please retry in 58 minutes or try other requests.',
    REFERENCE,
  ),
  tool('1password', 'its prompt was dismissed', 'login-expired', '[ERROR] authorization prompt dismissed', REFERENCE),
  tool(
    'gcloud',
    'nobody is logged in',
    'login-expired',
    'ERROR: You do not currently have an active account selected. Please run: gcloud auth login',
  ),
  tool(
    'gcloud',
    'no network, with the advice to log in',
    'transient',
    'ERROR: There was a problem refreshing your current auth tokens: Max retries exceeded. Please run: gcloud auth login',
  ),
  tool(
    'azure',
    'a resource that the tenant does not have',
    'misconfigured',
    'ERROR: AADSTS500011: The resource principal named api://claude was not found in the tenant.',
    'resource = "api://claude"',
  ),
  tool('bitwarden', 'its vault is locked', 'login-expired', 'Vault is locked.', 'reference = "claude"'),
  tool('bitwarden', 'no such item', 'misconfigured', 'Not found.', 'reference = "claude"'),
  {
    name: 'azure: something else than its JSON',
    verdict: 'misconfigured',
    arrange: () => ({
      provider: 'type = "exec"\npreset = "azure"\ncommand = ["/bin/echo"]',
      credential: 'resource = "api://claude"',
    }),
  },
  {
    name: 'keychain: there is no session bus',
    verdict: 'transient',
    arrange: () => ({ provider: 'type = "keychain"', credential: 'item = "claude"' }),
  },
];
