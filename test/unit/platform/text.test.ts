import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fingerprint,
  firstLine,
  hideShapes,
  isSecretName,
  printable,
  redact,
  scrub,
  secretArguments,
} from '../../../src/platform/text.ts';

describe('redact', () => {
  it.each([
    ['hvs.CAESIJlWh0mbl2qQ is bad', 'hvs.'],
    ['token s.1b2c3d4e5f6g7h8i9j0k1l2m', 's.1b2c'],
    ['bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.abc', 'eyJ'],
    ['sk-ant-api03-short', 'sk-ant'],
    ['the id 6c1d2b3a-0f9e-4d8c-b7a6-5e4d3c2b1a09 is not known', '6c1d'],
    ['postgres://u:pw@h failed', 'pw@'],
    ['postgres://u:pw@h failed', '//u'],
    ['password=hunter', 'hunter'],
    ['Password: hunter', 'hunter'],
    ['pin 4711', '4711'],
    ['backup tokens: 471147 471148', '471147'],
    ['PGPASSWORD=abc', 'abc'],
    ['api_key: "x y"', '"x'],
    ['-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----', 'MIIE'],
    ['AKIAIOSFODNN7EXAMPLE', 'AKIA'],
  ])('takes the secret out of %j', (text, secret) => {
    expect(redact(text)).not.toContain(secret);
    expect(redact(text)).toContain('[redacted]');
  });

  it.each([
    'Password: Error: EOF reading password',
    'Error: EOF',
    'Password: Login failed',
    'Enter PIN: Operation cancelled',
    'passphrase: Timeout',
    'Password for you@example.com: Permission denied, please try again.',
    'your password is empty',
    'error fetching auth tokens: Max retries exceeded',
    'problem refreshing your current auth tokens: Reauthentication failed.',
    "your current auth tokens: ('invalid_grant: Token has been expired or revoked.'",
    'lookup my.1password.com: no such host',
    'Could not resolve host: vault-prod-eu-west-1.example.com',
    'https://secretsmanager.eu-west-1.amazonaws.com:443/ timed out',
    'permission denied',
    'the token is expired',
    'secret/data/claude does not exist',
    '/usr/lib/libfoo.so.6: version not found',
    "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.33' not found",
    'no such file: /home/u/.config/broker/role-id',
  ])('leaves ordinary words alone: %j', (text) => {
    expect(redact(text)).toBe(text);
  });

  it('keeps the name of what it takes out', () => {
    expect(redact('connect with password=hunter2hunter2 failed')).toBe('connect with password=[redacted] failed');
  });

  it('takes out what is known to be secret, whatever it looks like', () => {
    expect(redact('you said open sesame', ['open sesame'])).toBe('you said [redacted]');
  });

  it('never lets a known secret through, whatever surrounds it', () => {
    const secret = fc.string({ minLength: 4, maxLength: 40 });
    fc.assert(
      fc.property(fc.string(), secret, fc.string(), (before, known, after) => {
        fc.pre(!'[redacted]'.includes(known));
        expect(redact(`${before}${known}${after}`, [known])).not.toContain(known);
      }),
    );
  });

  it('takes time that grows with the text', () => {
    const long = `${'password '.repeat(20_000)}${'a1'.repeat(50_000)}${'://'.repeat(20_000)}`;
    expect(redact(long).length).toBeGreaterThan(0);
  });
});

it('shapes alone are hidden where people wrote the text', () => {
  expect(hideShapes('https://u:pw@h/ sk-ant-abc 6c1d2b3a-0f9e-4d8c-b7a6-5e4d3c2b1a09', '***')).toBe(
    'https://u:***@h/ *** 6c1d2b3a-0f9e-4d8c-b7a6-5e4d3c2b1a09',
  );
});

it('the secrets in a command are what follows a flag of such a name, and not the name of a secret', () => {
  const command = [
    'tool',
    '--token',
    'abc',
    '--password=hunter2',
    '--secret-id',
    'prod/claude',
    '--secret=claude',
    '-v',
  ];
  expect(secretArguments(command)).toEqual(['abc', 'hunter2']);
});

it('so is what a script or a header within one word gives, but not what the shell looks up', () => {
  const script = 'PGPASSWORD=hunter2 psql --password "abc" --user me && tool --token=$TOKEN';
  const command = ['sh', '-c', script, '-H', 'X-Api-Key: k-1', '--header', 'Authorization: Bearer jkl'];
  expect(secretArguments(command).toSorted()).toEqual(['abc', 'hunter2', 'jkl', 'k-1']);
});

it('so is the password of a user, and what a query or JSON within one word gives', () => {
  const command = [
    'curl',
    '-u',
    'me:pw-1',
    '--proxy-user=me:pw-2',
    'https://h/?api_key=q-1&x=1',
    '-d',
    '{"password": "j-1"}',
  ];
  const script = 'curl --user me:pw-3 h; docker run -u 1000:1000 x';
  expect(secretArguments([...command, script])).toEqual(['pw-1', 'pw-2', 'q-1&x=1', 'j-1', 'pw-3']);
});

it('a secret is taken out as JSON, a URL and a form spell it', () => {
  const secret = 'pa"ss w\\rd@1';
  for (const said of [
    secret,
    JSON.stringify({ secret }),
    encodeURIComponent(secret),
    `${new URLSearchParams({ x: secret })}`,
  ])
    expect(scrub(`<${said}>`, [secret])).not.toMatch(/pa|rd/);
  expect(scrub('a lone \ud800 surrogate', ['\ud800xyz'])).toBe('a lone \ud800 surrogate');
});

it.each([
  ['token', true],
  ['PGPASSWORD', true],
  ['client_secret', true],
  ['X-Api-Key', true],
  ['token_file', false],
  ['MAX_THINKING_TOKENS_BUDGET', false],
  ['MAX_THINKING_TOKENS', false],
  ['CLAUDE_CODE_MAX_OUTPUT_TOKENS', false],
  ['KEYTIMEOUT', false],
  ['GITHUB_TOKENS', true],
  ['GIT_AUTHOR_NAME', false],
  ['SSH_AUTH_SOCK', false],
  ['PWD', false],
])('the name %s is that of a secret: %s', (name, secret) => {
  expect(isSecretName(name)).toBe(secret);
});

it('one line, without terminal sequences, control and invisible characters', () => {
  expect(printable('a\u001b[31mred\u001b[0m\n\u200bb\u202e\tc')).toBe('ared b c');
  expect(printable('x'.repeat(20), 10)).toBe('xxxxxxx...');
});

it('the first line that says something', () => {
  expect(firstLine('\n  \u001b[1m\n error: token=abc was refused\nmore')).toBe('error: token=[redacted] was refused');
});

it('a fingerprint tells two keys apart and not what they are', () => {
  const [one, two] = ['sk-ant-api03-aaaaaaaaaaaaaaaa', 'sk-ant-api03-bbbbbbbbbbbbbbbb'].map(fingerprint);
  expect(one).not.toBe(two);
  expect(one).toMatch(/^sk-ant-api03-… \(29 characters, #[0-9a-f]{8}\)$/);
  expect(fingerprint('short')).toBe('(5 characters)');
});
