import { expect, it } from 'vitest';
import { z } from 'zod';
import { maskShapes, maskValue } from '../../../src/config/effective.ts';
import { isHidden, isSecretKey, membersOf } from '../../../src/config/walk.ts';

it.each([
  'token',
  'password',
  'client_secret',
  'secret-id',
  'secretId',
  'aws_session_token',
  'API_KEY',
  'jwt',
  'PGPASSWORD',
  'MYSQL_PWD',
  'BW_SESSION',
  'OP_SESSION_my',
  'SSHPASS',
  'GITHUB_PAT',
])('%s is the name of a secret', (name) => {
  expect(isSecretKey(name, undefined)).toBe(true);
});

it.each(['token_file', 'secret_id_file', 'role_id', 'path', 'address', 'field', 'tokens_max', 'keyboard'])(
  '%s is not',
  (name) => {
    expect(isSecretKey(name, undefined)).toBe(false);
  },
);

it('the schema has the last word, through whatever is wrapped around it', () => {
  const hidden = z.string().meta({ secret: true }).regex(/x/).optional().describe('x');
  expect([isSecretKey('plain', hidden), isSecretKey('token', z.string().meta({ secret: false }).optional())]).toEqual([
    true,
    false,
  ]);
});

it('secret_id is the name of a secret in a credential, and a secret in a login', () => {
  expect([isSecretKey('secret_id', undefined, true), isSecretKey('secret_id', undefined)]).toEqual([false, true]);
});

it.each([
  ['x hvs.CAESIJabcdefgh/x y', 'x ******** y'],
  ['sk-ant-api03-abc_def', '********'],
  ['Bearer eyJhbGciOiJI.eyJzdWIiOiIx.c2ln', 'Bearer ********'],
  ['-----BEGIN PRIVATE KEY-----\nabc\n', '********'],
  ['https://user:hunter2@v:8200/x', 'https://user:********@v:8200/x'],
  ['team/sk-litellm-production', 'team/sk-litellm-production'],
  ['https://v:8200/?a:b@c', 'https://v:8200/?a:b@c'],
  ['arn:aws:iam::123456789012:role/keys', 'arn:aws:iam::123456789012:role/keys'],
])('%j is shown as %j', (text, shown) => {
  expect(maskShapes(text)).toBe(shown);
});

it('everything under a secret key is masked, whatever its type', () => {
  expect([1, true, ['a'], { a: 'b' }].map((value) => maskValue(value, true))).toEqual(Array(4).fill('********'));
  expect(maskValue(['plain', ['hvs.CAESIJabcdefgh']], false)).toEqual(['plain', ['********']]);
});

it('what a command is given with a flag of such a name is masked', () => {
  const command = ['tool', '--token', 'abc', '--user', 'me', '--password=hunter2', '-v', '--pin', '4711'];
  expect(maskValue(command, false)).toEqual([
    ...['tool', '--token', '********', '--user', 'me', '--password=********', '-v', '--pin', '********'],
  ]);
});

it('so is what a script in a command or a header says', () => {
  expect(maskValue(['sh', '-c', 'tool --token abc | tr -d x', 'Authorization: Bearer jkl'], false)).toEqual([
    ...['sh', '-c', 'tool --token ******** | tr -d x', 'Authorization: Bearer ********'],
  ]);
});

it('every variable of a command is masked, whatever its name, and is no reason for a warning', () => {
  const schema = z.strictObject({ env: z.record(z.string(), z.string()) });
  const [member] = [...membersOf({ env: { PLAIN: 'canary' } }, schema, ['providers', 'tool'])];
  expect([member && isHidden(member), member?.isSecret]).toEqual([true, false]);
});

it('whatever is in a secret table or array is a secret', () => {
  const hidden = z.record(z.string(), z.string()).meta({ secret: true });
  const schema = z.strictObject({
    hidden,
    list: z.array(z.string()).meta({ secret: true }),
    shown: z.array(z.string()),
  });
  const table = { hidden: { plain: 'a' }, list: ['b'], shown: ['c'], unknown: { token: 'd', deep: [{ pin: 'e' }] } };
  const found = [...membersOf(table, schema, [])].filter(({ isSecret }) => isSecret).map(({ path }) => path.join('.'));
  expect(found).toEqual(['hidden.plain', 'list', 'list.0', 'unknown.token', 'unknown.deep.0.pin']);
});
