import { z } from 'zod';
import { duration, type EnvironmentRule, isInTheClear, once, optionalFile, refuse, text } from '../../config/schema.ts';
import { borrowedIn, inputsOf, loginInput } from '../login-inputs.ts';
import type { ProviderDefinition } from '../provider.ts';
import { proxyOption, proxyRule } from '../proxies.ts';

export const ANTHROPIC = 'https://api.anthropic.com';

/** An identity token goes there: nowhere in the clear but on this machine. */
const baseUrl = () =>
  text().superRefine((value, context) => {
    const url = URL.parse(value);
    if (url === null || !/^https?:$/.test(url.protocol) || isInTheClear(url)) {
      refuse(context, 'this is not an https address', 'write https://… (http:// is for this machine only)');
    } else if (url.username !== '' || url.search !== '' || url.hash !== '') {
      refuse(context, 'the address has more than a host and a path', 'remove user name, query and fragment');
    }
  });

const workspace = (otherwise: string) =>
  text()
    .regex(/^(?:wrkspc_\w{1,100}|default)$/, 'a workspace is written wrkspc_… or default')
    .optional()
    .meta({
      description: `The workspace that the token is for, wrkspc_… or default. ${otherwise}`,
      examples: ['wrkspc_01AbCdEfGh'],
      secret: false,
    });

const wifProviderSchema = once(() =>
  z.strictObject({
    federation_rule_id: text()
      .regex(/^fdrl_\w{1,100}$/, 'a federation rule is written fdrl_…')
      .meta({
        description: 'The federation rule that the identity token is judged by. Default: ANTHROPIC_FEDERATION_RULE_ID.',
        examples: ['fdrl_01AbCdEfGh'],
      }),
    organization_id: z.guid('an organization is written as a UUID, 00000000-0000-0000-0000-000000000000').meta({
      description: 'The organization, a UUID: Console, Settings, Organization. Default: ANTHROPIC_ORGANIZATION_ID.',
      examples: ['00000000-0000-0000-0000-000000000000'],
    }),
    service_account_id: text()
      .regex(/^svac_\w{1,100}$/, 'a service account is written svac_…')
      .meta({
        description: 'The service account that the token acts as. Default: ANTHROPIC_SERVICE_ACCOUNT_ID.',
        examples: ['svac_01AbCdEfGh'],
      }),
    workspace_id: workspace('Needed if the rule covers several. Default: ANTHROPIC_WORKSPACE_ID, else the only one.'),
    identity: loginInput('the identity token (JWT)').describe(
      'The JWT of your identity provider: { file }, { env }, { credential } or { command }. Default: the file that ANTHROPIC_IDENTITY_TOKEN_FILE names.',
    ),
    base_url: baseUrl()
      .prefault(ANTHROPIC)
      .meta({
        description: `Where tokens are exchanged, at /v1/oauth/token. Default ${ANTHROPIC}.`,
        examples: [ANTHROPIC],
      }),
    ca_file: optionalFile().describe(
      "PEM file with certificate authorities to trust besides Node's and the system's. Default: none.",
    ),
    proxy: proxyOption(),
    timeout: duration({ minMs: 100, maxMs: 300_000 })
      .prefault('20s')
      .describe(
        'Duration. How long one exchange may take, the identity token included. Default 20s, from 100ms to 5m.',
      ),
  }),
);

const wifCredentialSchema = once(() => z.strictObject({ workspace_id: workspace("Default: the provider's.") }));

export type WifOptions = z.output<ReturnType<typeof wifProviderSchema>>;
export type WifSource = z.output<ReturnType<typeof wifCredentialSchema>>;

/** Only where nothing else says where the identity token is. */
const identityFile: EnvironmentRule = {
  variablesFor: ({ identity }) => (identity === undefined ? ['ANTHROPIC_IDENTITY_TOKEN_FILE'] : []),
};

export const wifDefinition: ProviderDefinition<WifOptions, WifSource> = {
  type: 'anthropic-wif',
  nicknames: { anthropic: '', wif: '', workloadidentity: '', federation: '' },
  summary: "Anthropic's workload identity federation: an identity token exchanged for one of minutes",
  get providerSchema() {
    return wifProviderSchema();
  },
  get credentialSchema() {
    return wifCredentialSchema();
  },
  environmentDefaults: {
    federation_rule_id: ['ANTHROPIC_FEDERATION_RULE_ID'],
    organization_id: ['ANTHROPIC_ORGANIZATION_ID'],
    service_account_id: ['ANTHROPIC_SERVICE_ACCOUNT_ID'],
    workspace_id: ['ANTHROPIC_WORKSPACE_ID'],
    'identity.file': identityFile,
    proxy: proxyRule(({ base_url = ANTHROPIC }) => String(base_url)),
  },
  borrows: ({ identity }) => borrowedIn({ identity }),
  identify: ({ workspace_id }) => workspace_id ?? '',
  describe: ({ workspace_id }) => (workspace_id === undefined ? 'a token of the service account' : workspace_id),
  async load() {
    const { WifProvider } = await import('./provider.ts');
    return (options, host) => new WifProvider(options, host);
  },
};

export function filesOf({ identity, ca_file }: WifOptions): readonly string[] {
  return ca_file === undefined ? inputsOf(identity) : [...inputsOf(identity), ca_file];
}
