import type { Answer, Verdict } from './answer.ts';

type Data = Readonly<Record<string, unknown>>;

/** What may be stored, as the broker itself judges it. */
function content(name: string, verdict: Verdict, data: Data, selection = 'field = "api_key"'): Answer {
  return {
    name,
    verdict,
    arrange({ vault }, id) {
      vault.kv.writeV2(`secret/${id}`, data);
      const login = `[providers.${id}.auth]\nmethod = "token"\ntoken = "${vault.rootToken}"`;
      return {
        provider: `type = "vault"\naddress = "${vault.address}"\n${login}`,
        credential: `path = "secret/data/${id}"\n${selection}`,
      };
    },
  };
}

export const contentAnswers: readonly Answer[] = [
  content('field missing', 'misconfigured', { apikey: 'sk-canary', note: 'x' }),
  content('field missing, one level up', 'misconfigured', { anthropic: { api_key: 'sk-canary' } }),
  content('field is an object', 'misconfigured', { api_key: { prod: 'sk-canary', dev: 'sk-canary' } }),
  content('field is null', 'misconfigured', { api_key: null }),
  content('field is a list', 'misconfigured', { api_key: ['sk-canary'] }),
  content('no field named, several there', 'misconfigured', { a: 'sk-canary', b: 'sk-canary' }, ''),
  content('no field named, none there', 'misconfigured', {}, ''),
  content('no field named, one there', 'served', { key: 'sk-fit' }, ''),
  content('empty', 'unusable', { api_key: '' }),
  content('white space only', 'unusable', { api_key: ' \n' }),
  content('a newline at the end', 'served', { api_key: 'sk-fit\n' }),
  content('several lines (a whole PEM or .env file)', 'unusable', { api_key: 'KEY=sk-canary\nOTHER=1\n' }),
  content('white space inside ("Bearer …")', 'unusable', { api_key: 'Bearer sk-canary' }),
  content('not ASCII (a typographic dash, an umlaut)', 'unusable', { api_key: 'sk–canary' }),
  content('a control character', 'unusable', { api_key: 'sk-\u0000canary' }),
  content('20,000 characters', 'unusable', { api_key: 'k'.repeat(20_000) }),
  content('16,384 characters', 'served', { api_key: 'k'.repeat(16_384) }),
  content('a number', 'served', { api_key: 12_345_678 }),
  content('JSON in a text field', 'unusable', { api_key: '{"key":"sk-canary"}' }),
  content(
    'JSON in a text field, and its key named',
    'served',
    { api_key: '{"key":"sk-fit"}' },
    'field = "api_key.key"',
  ),
  content('a value in its quotes', 'unusable', { api_key: '"sk-canary"' }),
  content('a line of an .env file', 'unusable', { api_key: 'ANTHROPIC_API_KEY=sk-canary' }),
  content('the word null', 'unusable', { api_key: 'null' }),
  content('a reference (op://…)', 'unusable', { api_key: 'op://dev/x/canary' }),
  content('an ARN', 'unusable', { api_key: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:canary' }),
  content('a placeholder', 'unusable', { api_key: '<your-api-key>' }),
  content('a value after a byte order mark', 'served', { api_key: '\ufeffsk-fit' }),
];
