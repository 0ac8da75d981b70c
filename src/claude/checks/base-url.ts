import { effectiveVariable } from '../effective.ts';
import type { Facts } from '../facts.ts';
import type { Check, Finding } from '../finding.ts';
import { keyKind } from '../key-kind.ts';
import { maskUrl } from '../masking.ts';
import { placeText, whereOf } from './places.ts';

/** Where requests go, and whether the key is one for there. */
export const baseUrl: Check = (facts) => {
  const set = effectiveVariable(facts.input, 'ANTHROPIC_BASE_URL');
  const findings: Finding[] = [];
  const add = (id: string, severity: Finding['severity'], title: string, cost: string, remedy: string) =>
    findings.push({ id, severity, title, cost, remedy, ...whereOf(set?.place) });
  const url = set !== undefined && URL.canParse(set.value) ? new URL(set.value) : undefined;
  const place = placeText(set?.place);
  if (set !== undefined && (url === undefined || !/^https?:$/.test(url.protocol))) {
    add(
      'base-url-invalid',
      'error',
      `ANTHROPIC_BASE_URL in ${place} is no http or https URL`,
      'no request leaves the machine',
      'write it like https://gateway.example.com',
    );
    return findings;
  }
  const local = url !== undefined && /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  const anthropic = url === undefined || /(^|\.)anthropic\.com$/.test(url.hostname);
  const kinds = kindsSent(facts);
  if (set !== undefined && url !== undefined) {
    const shown = maskUrl(set.value);
    if (url.protocol === 'http:' && !local) {
      add(
        'base-url-plain-http',
        'error',
        `ANTHROPIC_BASE_URL ${shown} is not encrypted`,
        'the key and every prompt can be read on the way',
        `write it with https:// (it is set in ${place})`,
      );
    }
    if (/\/v1\/?$/.test(url.pathname)) {
      add(
        'base-url-version-path',
        'error',
        `ANTHROPIC_BASE_URL ${shown} ends in /v1`,
        'the client adds /v1/messages itself: requests go to /v1/v1/messages and end in 404',
        `leave out the /v1 (it is set in ${place})`,
      );
    }
    if (!anthropic && !local && kinds.has('api-key')) {
      add(
        'base-url-foreign-key',
        'warning',
        `an Anthropic key is sent to ${url.host}`,
        'both headers carry the key to whoever runs that host',
        'give the gateway a key of its own, or remove ANTHROPIC_BASE_URL',
      );
    }
  }
  if (anthropic && kinds.has('other')) {
    add(
      'base-url-missing',
      'warning',
      'the key is no Anthropic key, and requests go to api.anthropic.com',
      'a key for a gateway is answered with 401 there',
      'set ANTHROPIC_BASE_URL to the gateway, or fix the path of the credential',
    );
  }
  return findings;
};

/** Kinds of what `-p` puts into its headers, as far as they are known. */
function kindsSent({ chain, input, run }: Facts): Set<string> {
  const print = chain.outcomes.find(({ mode }) => mode === 'print');
  const kinds = new Set<string>();
  for (const source of [print?.xApiKey, print?.authorization]) {
    const variable = source === 'api-key' ? 'ANTHROPIC_API_KEY' : source === 'auth-token' ? 'ANTHROPIC_AUTH_TOKEN' : '';
    const value = variable === '' ? undefined : effectiveVariable(input, variable)?.value;
    if (value !== undefined) kinds.add(keyKind(value));
    else if (source === 'helper' && run?.kind !== undefined) kinds.add(run.kind);
  }
  return kinds;
}
