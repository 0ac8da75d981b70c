import { H, type Home, helper, LOGIN, OURS, script, USER } from './homes.ts';
import { statusOf } from './status-sample.ts';

const ours = helper(OURS);
const jwt = (exp: number) =>
  [{ alg: 'none' }, { exp }].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
const gateway = { env: { ANTHROPIC_BASE_URL: 'https://gw.example.com' } };
const own = helper('{HOME}/key.sh', gateway);
const MINUTE = 60_000;
/** Fails, so that it is seen to have been run. */
const COPY = script('exit 69');

/** Traps that users of the client have reported. */
export const TRAP_HOMES: readonly Home[] = [
  {
    name: 'our helper asked for headers',
    files: { [USER]: helper('{HOME}/bin/broker-key --format headers anthropic') },
    wins: H,
    finds: ['helper-prints-json'],
  },
  {
    name: 'our helper asked for raw is as it should be',
    files: { [USER]: helper('{HOME}/bin/broker-key --format raw anthropic') },
    wins: H,
    finds: [],
  },
  {
    name: 'a script that prints an object',
    files: { [USER]: own, 'key.sh': script(`printf '{"key":"%s"}' "$HOME"`) },
    wins: H,
    finds: ['helper-prints-json'],
  },
  {
    name: 'a token that is over (issue 27226)',
    files: { [USER]: own, 'key.sh': script(`T=${jwt(1_000_000)}.s; echo "$T"`) },
    wins: H,
    finds: ['helper-gives-dying-token'],
  },
  {
    name: 'a token with a year to live',
    files: { [USER]: own, 'key.sh': script(`T=${jwt(4_000_000_000)}.s; echo "$T"`) },
    wins: H,
    finds: [],
  },
  {
    name: 'a helper that asks a password manager (issue 11639)',
    files: { [USER]: own, 'key.sh': script('op read op://vault/key'), 'programs/op': script('echo "$HOME"') },
    wins: H,
    finds: [],
    notes: ['helper-may-prompt', 'foreign-helper'],
  },
  {
    name: 'a helper that asks in a substitution',
    files: { [USER]: helper('printf %s "$(sudo -n true; true)x"', gateway) },
    wins: H,
    finds: [],
    notes: ['helper-may-prompt'],
  },
  {
    name: "a helper's own program is missing (issue 11587)",
    files: { [USER]: own, 'key.sh': script('no-such-program-anywhere --key') },
    wins: H,
    finds: ['helper-fails'],
  },
  {
    name: 'key and Remote Control (issue 58127)',
    files: { [USER]: ours, '.claude/.credentials.json': LOGIN },
    wins: H,
    finds: [],
    notes: ['remote-control-off', 'two-methods'],
  },
  {
    name: 'a login alone keeps Remote Control',
    files: { '.claude/.credentials.json': LOGIN },
    wins: ['login', 'login', null],
    finds: [],
  },
  {
    name: 'keys that live a quarter of an hour (issue 43436)',
    files: { [USER]: ours },
    broker: statusOf({ lifeMs: 15 * MINUTE }),
    wins: H,
    finds: [],
    notes: ['key-dies-in-a-pause'],
  },
  {
    name: 'a JWT under the interval is no trap: the client renews it by itself',
    files: { [USER]: ours },
    broker: statusOf({ lifeMs: 2 * MINUTE, expirySource: 'jwt' }),
    wins: H,
    finds: [],
  },
  ...['MANTLE', 'ANTHROPIC_AWS', 'ANTHROPIC_GOOGLE_CLOUD'].map(
    (cloud): Home => ({
      name: `CLAUDE_CODE_USE_${cloud}`,
      env: { [`CLAUDE_CODE_USE_${cloud}`]: '1' },
      files: { [USER]: ours },
      wins: ['cloud', 'cloud', 'cloud'],
      headers: [null, 'cloud'],
      finds: ['cloud-variable'],
    }),
  ),
  {
    name: 'the copy of our helper that install puts into settings is ours wherever it is named',
    files: { 'ci.json': helper('{HOME}/state/bin/broker-key'), 'state/bin/broker-key': COPY },
    flag: 'ci.json',
    wins: ['helper', 'helper', 'helper'],
    finds: ['helper-fails'],
  },
  {
    name: 'a copy that others can change is not run',
    files: { 'ci.json': helper('{HOME}/state/bin/broker-key'), 'state/bin/broker-key': [COPY[0], 0o777] },
    flag: 'ci.json',
    wins: ['helper', 'helper', 'helper'],
    // They cannot enter the folder that it is in.
    finds: [],
    notes: ['helper-not-run'],
  },
  {
    name: 'a proxy without http://',
    env: { HTTPS_PROXY: 'proxy.corp:3128', http_proxy: 'http://proxy.corp:3128' },
    files: { [USER]: ours },
    wins: H,
    finds: [],
  },
  {
    name: 'a proxy without http:// that has a helper',
    env: { HTTPS_PROXY: '10.0.0.1:3128', CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER: '1' },
    files: { [USER]: helper(OURS, { proxyAuthHelper: '{HOME}/bin/broker-key --format proxy anthropic' }) },
    wins: H,
    finds: ['proxy-url-invalid'],
  },
  {
    name: 'a SOCKS proxy',
    env: { https_proxy: 'socks5://127.0.0.1:1080' },
    files: { [USER]: ours },
    wins: H,
    finds: ['proxy-unsupported'],
  },
  {
    name: 'a proxy helper that is not turned on',
    files: {
      [USER]: helper(OURS, {
        proxyAuthHelper: '{HOME}/bin/broker-key --format proxy',
        env: { CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER: '0' },
      }),
    },
    wins: H,
    finds: ['proxy-helper-off'],
  },
  {
    name: 'a proxy helper that is',
    files: {
      [USER]: helper(OURS, {
        proxyAuthHelper: '{HOME}/bin/broker-key --format proxy',
        env: { CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER: '1' },
      }),
    },
    wins: H,
    finds: [],
  },
  {
    name: 'CLAUDE_CODE_USE_GATEWAY is no cloud of its own',
    env: { CLAUDE_CODE_USE_GATEWAY: '1' },
    files: { [USER]: ours },
    wins: H,
    finds: [],
  },
];
