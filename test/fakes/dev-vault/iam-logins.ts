import { createHash, createHmac } from 'node:crypto';
import { type ApiAnswer, envelope, refusal, text } from '../../../src/demo/vault.ts';
import type { DevHandler, DevRequest } from './request.ts';
import type { TokenGrant, TokenStore } from './tokens.ts';

interface IamRole {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** What X-Vault-AWS-IAM-Server-ID has to be, if the mount asks for it. */
  readonly serverId?: string;
  readonly grant: TokenGrant;
}

interface SignedRequest {
  readonly method: string;
  readonly url: URL;
  readonly body: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** Longer ago than this AWS takes no signature. */
const SIGNATURE_LIFE_MS = 900_000;

/** `auth/aws/login`, type iam, with STS's part done here: the signature is worked out again and compared. */
export class IamLogins {
  readonly #nowMs: () => number;
  readonly #tokens: TokenStore;
  readonly #roles = new Map<string, IamRole>();

  constructor(nowMs: () => number, tokens: TokenStore) {
    this.#nowMs = nowMs;
    this.#tokens = tokens;
  }

  role(name: string, role: IamRole): void {
    this.#roles.set(name, role);
  }

  readonly handle: DevHandler = (request) => (request.path === 'auth/aws/login' ? this.#login(request) : undefined);

  #login({ body, path }: DevRequest): ApiAnswer {
    const name = text(body['role']);
    const role = this.#roles.get(name);
    if (role === undefined) return refusal(400, `entry for role "${name}" not found`);
    const signed = signedRequest(body);
    if (signed === undefined) return refusal(400, 'error unmarshalling the signed request');
    if (role.serverId !== undefined && signed.headers.get('x-vault-aws-iam-server-id') !== role.serverId) {
      return refusal(400, 'error validating X-Vault-AWS-IAM-Server-ID header');
    }
    const atMs = Date.parse((signed.headers.get('x-amz-date') ?? '').replace(AMZ_DATE, '$1-$2-$3T$4:$5:$6Z'));
    const isFresh = Math.abs(this.#nowMs() - atMs) < SIGNATURE_LIFE_MS;
    if (!isFresh || !signed.url.hostname.startsWith('sts.') || !isSignedBy(role, signed)) {
      return refusal(400, 'error making upstream request: received error code 403 from STS');
    }
    return envelope({ auth: this.#tokens.authOf(this.#tokens.create(role.grant, path)) });
  }
}

const AMZ_DATE = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

function signedRequest(body: DevRequest['body']): SignedRequest | undefined {
  const part = (key: string) => Buffer.from(text(body[key]), 'base64').toString('utf8');
  try {
    const pairs = Object.entries(JSON.parse(part('iam_request_headers')) as Record<string, string | string[]>);
    return {
      method: text(body['iam_http_request_method']),
      url: new URL(part('iam_request_url')),
      body: part('iam_request_body'),
      headers: new Map(pairs.map(([name, value]) => [name.toLowerCase(), [value].flat().join(',')])),
    };
  } catch {
    return undefined;
  }
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html */
function isSignedBy({ accessKeyId, secretAccessKey }: IamRole, { method, url, body, headers }: SignedRequest): boolean {
  const parts = /Credential=(.+), ?SignedHeaders=(.+), ?Signature=([0-9a-f]+)$/.exec(
    headers.get('authorization') ?? '',
  );
  const [id, date = '', region = '', service = '', end = ''] = (parts?.[1] ?? '').split('/');
  const names = (parts?.[2] ?? '').split(';');
  if (parts === null || id !== accessKeyId || service !== 'sts' || !names.includes('host')) return false;
  if (headers.has('x-vault-aws-iam-server-id') && !names.includes('x-vault-aws-iam-server-id')) return false;
  const lines = names.map((name) => `${name}:${headers.get(name)?.trim().replaceAll(/ +/g, ' ')}\n`).join('');
  const canonical = [method, url.pathname, '', lines, names.join(';'), sha256(body)].join('\n');
  const scope = [date, region, service, end].join('/');
  const toSign = ['AWS4-HMAC-SHA256', headers.get('x-amz-date') ?? '', scope, sha256(canonical)].join('\n');
  const key = [date, region, service, end].reduce<Buffer>(hmac, Buffer.from(`AWS4${secretAccessKey}`));
  return hmac(key, toSign).toString('hex') === parts[3];
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
