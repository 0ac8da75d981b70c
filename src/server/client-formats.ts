import type { Answer } from '../broker/ask.ts';
import type { SecretBytes } from '../credential/secret-bytes.ts';
import { BrokerError } from '../errors.ts';
import { type FormatContext, type FormattedKey, type Formatter, jsonString, VALUE } from './formats.ts';
import { proxy } from './proxy-format.ts';

/** How a key is put into an HTTP header: `config.ts` has the same, and the server knows nothing of files. */
export interface HeaderForm {
  readonly name: string;
  readonly prefix: string;
}

const DEFAULT_HEADER: HeaderForm = { name: 'x-api-key', prefix: '' };

/** What the helper takes of a format with several values. */
const LONGEST_BODY = 65_535;

/** The formats of the client's other settings that run a helper: one line of printable ASCII, as the client parses it. */
export function clientFormats(
  headerOf: (credential: string) => HeaderForm | undefined,
): ReadonlyMap<string, Formatter> {
  return new Map<string, Formatter>([
    ['headers', (answer) => headers(answer, headerOf(answer.key.credential) ?? DEFAULT_HEADER)],
    ['aws', aws],
    ['proxy', (answer) => proxy(answer, headerOf(answer.key.credential)?.prefix)],
  ]);
}

/** `otelHeadersHelper` and `headersHelper`: an object of strings. Several values are as many headers, by their names. */
function headers({ key, secrets }: Answer, form: HeaderForm): FormattedKey {
  const only = secrets.size === 1 ? secrets.get(VALUE) : undefined;
  const pairs =
    only === undefined ? [...secrets].map(([name, value]) => pair(name, value)) : [pair(form.name, only, form.prefix)];
  return json(key.credential, [Buffer.from('{'), ...joined(pairs), Buffer.from('}')]);
}

/** The names that Vault's AWS engine, STS and people give to the three parts, after case and underscores are taken out. */
const AWS_PARTS = [
  ['AccessKeyId', ['accesskey', 'accesskeyid', 'awsaccesskeyid']],
  ['SecretAccessKey', ['secretkey', 'secretaccesskey', 'awssecretaccesskey']],
  ['SessionToken', ['sessiontoken', 'securitytoken', 'awssessiontoken']],
] as const;

/** `awsCredentialExport`: what `aws sts assume-role` prints. The client takes temporary credentials only. */
function aws({ key, secrets }: Answer, { expiresAt }: FormatContext): FormattedKey {
  const plain = new Map([...secrets].map(([name, value]) => [name.toLowerCase().replaceAll(/[_.-]/g, ''), value]));
  const pairs = AWS_PARTS.map(([name, spellings]) => {
    const found = spellings.flatMap((spelling) => plain.get(spelling) ?? [])[0];
    if (found === undefined) throw lacks(key.credential, name);
    return pair(name, found);
  });
  if (expiresAt !== undefined) pairs.push(Buffer.from(`"Expiration":${JSON.stringify(expiresAt)}`));
  return json(key.credential, [Buffer.from('{"Credentials":{'), ...joined(pairs), Buffer.from('}}')]);
}

function lacks(credential: string, part: string): BrokerError {
  const fields = '{ access_key = "access_key", secret_key = "secret_key", session_token = "security_token" }';
  return new BrokerError('ERR_USAGE', `credential "${credential}" has no ${part}, which AWS credentials need`, {
    remedy: `read all three, as in fields = ${fields}, from a role that issues temporary credentials`,
  });
}

function pair(name: string, value: SecretBytes, prefix = ''): Buffer {
  const text = Buffer.concat([Buffer.from(prefix), value.bytes]);
  const quoted = jsonString(text);
  text.fill(0);
  const whole = Buffer.concat([Buffer.from(`${JSON.stringify(name)}:`), quoted]);
  quoted.fill(0);
  return whole;
}

function joined(pairs: readonly Buffer[]): Buffer[] {
  return pairs.flatMap((each, index) => (index === 0 ? [each] : [Buffer.from(','), each]));
}

/** Takes the parts over and wipes them. */
function json(credential: string, parts: readonly Buffer[]): FormattedKey {
  const body = Buffer.concat(parts);
  for (const part of parts) part.fill(0);
  if (body.length <= LONGEST_BODY) return { contentType: 'application/json', body };
  body.fill(0);
  throw new BrokerError('ERR_KEY_UNUSABLE', `the values of "${credential}" are longer than 64 KiB together`, {
    remedy: 'take fewer of them with fields',
  });
}
