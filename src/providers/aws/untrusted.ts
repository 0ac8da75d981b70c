import type { ProviderError } from '../../errors.ts';
import { certificateFailure, isCertificateFailure } from '../certificate-failures.ts';
import { networkCode } from '../network-failures.ts';
import type { AwsAgents } from './agents.ts';
import type { Answer } from './answer.ts';
import type { Subject } from './aws-error.ts';

/** The failure for a certificate that is not trusted, saying which one it was; undefined for any other error. */
export async function untrusted(
  thrown: unknown,
  { provider }: Subject,
  { asked }: Answer,
  agents: AwsAgents | undefined,
  signal: AbortSignal,
): Promise<ProviderError | undefined> {
  const code = networkCode(thrown);
  if (agents === undefined || code === undefined || !isCertificateFailure(code)) return undefined;
  const { origin, presented } = await agents.inspect(signal);
  const contacted = {
    who: `${asked ? 'AWS' : "AWS's login service"} at ${origin}`,
    authorityRemedy: `name the authority's PEM file as ca_file in [providers.${provider}]; in a public network, sign in to it first`,
    nameRemedy: `correct endpoint in [providers.${provider}]; else something between here and AWS is answering`,
    owner: 'whoever runs what answers there',
  };
  return certificateFailure(code, contacted, presented);
}
