import { awsLoginInputs, requireTrustedLogin } from '../../aws/login-inputs.ts';
import type { ProviderHost } from '../../provider.ts';
import type { AuthOf } from '../options.ts';
import type { PrepareLogin } from './method.ts';

const BODY = 'Action=GetCallerIdentity&Version=2011-06-15';

/**
 * The iam type of Vault's AWS method: a signed request for sts:GetCallerIdentity that Vault sends on, so that AWS itself
 * says who signed it (https://developer.hashicorp.com/vault/api-docs/auth/aws#login). No AWS secret leaves this process.
 */
export function aws(auth: AuthOf<'aws'>): PrepareLogin {
  return async ({ host }) => {
    requireTrustedLogin(host);
    const { signedHeaders } = await import('../../aws/signed-request.ts');
    const url = auth.sts_endpoint ?? stsEndpoint(auth.region);
    const extra = auth.server_id === undefined ? {} : { 'x-vault-aws-iam-server-id': auth.server_id };
    const content = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8', ...extra };
    const options = { region: auth.region, ...(auth.profile === undefined ? {} : { profile: auth.profile }) };
    const headers = await signedHeaders({ service: 'sts', url, headers: content, body: BODY }, options, host);
    const signed = base64(JSON.stringify(headers));
    return {
      path: `auth/${auth.mount}/login`,
      body: {
        ...(auth.role === undefined ? {} : { role: auth.role }),
        iam_http_request_method: 'POST',
        iam_request_url: base64(url),
        iam_request_body: base64(BODY),
        iam_request_headers: signed,
      },
      // With it anybody can log in in our place for a quarter of an hour.
      secrets: [signed, headers['authorization'] ?? '', headers['x-amz-security-token'] ?? ''].filter(Boolean),
      isRepeatable: true,
    };
  };
}

export function awsInputs(auth: AuthOf<'aws'>, host: ProviderHost): readonly string[] {
  return awsLoginInputs(auth.profile === undefined ? {} : { profile: auth.profile }, host);
}

/** Vault's own default is the global endpoint, which signs for us-east-1. */
function stsEndpoint(region: string): string {
  const domain = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  return region === 'us-east-1' ? 'https://sts.amazonaws.com/' : `https://sts.${region}.${domain}/`;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
