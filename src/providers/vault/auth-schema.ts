import { z } from 'zod';
import { filePath, refuse, secretText, text } from '../../config/value-types.ts';
import { awsRegion } from '../aws/options.ts';

function mount(standard: string) {
  return text()
    .regex(/^[\w./-]+$/, 'a mount is a path like team/approle')
    .transform((path) => path.replace(/^\/*(?:auth\/)?|\/+$/g, ''))
    .prefault(standard)
    .describe(`Where the auth method is mounted, without auth/. Default ${standard}.`);
}

const role = (what: string) => text().describe(what);

/** At most, or exactly, one of the named keys. */
function oneOf(keys: readonly string[], needed: boolean) {
  return (options: object, context: z.core.$RefinementCtx) => {
    const given = keys.filter((key) => (options as Record<string, unknown>)[key] !== undefined);
    if (given.length > 1)
      refuse(context, `${given.join(' and ')} exclude each other`, `keep one of ${keys.join(', ')}`);
    if (needed && given.length === 0) refuse(context, `${keys.join(' or ')} is missing`, `add ${keys.join(' or ')}`);
  };
}

const tokenAuth = z
  .strictObject({
    method: z.literal('token'),
    token: secretText().optional().describe('The token itself. Better in a file.'),
    token_file: filePath()
      .optional()
      .describe('File with the token. Default without token and token_file: VAULT_TOKEN, else ~/.vault-token.'),
  })
  .superRefine(oneOf(['token', 'token_file'], false));

const appRoleAuth = z
  .strictObject({
    method: z.literal('approle'),
    role_id: text().optional().meta({ secret: false }).describe('The role-id itself.'),
    role_id_file: filePath().optional().describe('File with the role-id.'),
    secret_id_file: filePath()
      .optional()
      .describe(
        'File with the secret-id, or with its wrapping token. Default: none, for roles with bind_secret_id=false.',
      ),
    secret_id_wrapped: z
      .boolean()
      .prefault(false)
      .describe(
        'Boolean. Whether secret_id_file holds a response-wrapping token that is unwrapped once. Default false.',
      ),
    remove_secret_id_file: z
      .boolean()
      .prefault(false)
      .describe('Boolean. Whether secret_id_file is deleted once it was read. Default false.'),
    mount: mount('approle'),
  })
  .superRefine(oneOf(['role_id', 'role_id_file'], true));

function passwordAuth<Method extends 'userpass' | 'ldap'>(method: Method) {
  return z
    .strictObject({
      method: z.literal(method),
      username: text().describe('Name to log in with.'),
      password: secretText().optional().describe('The password itself. Better in a file.'),
      password_file: filePath()
        .optional()
        .describe('File with the password. Default without password and password_file: asked by broker login.'),
      mount: mount(method),
    })
    .superRefine(oneOf(['password', 'password_file'], false));
}

const jwtAuth = z.strictObject({
  method: z.literal('jwt'),
  role: role("Role to log in to. Default: the mount's default_role.").optional(),
  jwt_file: filePath().describe(
    'File with the JWT, read anew for every login: a CI or projected service-account token.',
  ),
  mount: mount('jwt'),
});

const kubernetesAuth = z.strictObject({
  method: z.literal('kubernetes'),
  role: role('Role to log in to.'),
  jwt_file: filePath()
    .prefault('/var/run/secrets/kubernetes.io/serviceaccount/token')
    .describe('File with the service-account token. Default /var/run/secrets/kubernetes.io/serviceaccount/token.'),
  mount: mount('kubernetes'),
});

const certAuth = z.strictObject({
  method: z.literal('cert'),
  name: role('Certificate role to log in to. Default: any that matches client_cert_file.').optional(),
  mount: mount('cert'),
});

const oidcAuth = z.strictObject({
  method: z.literal('oidc'),
  role: role("Role to log in to. Default: the mount's default_role.").optional(),
  callback_port: z
    .int()
    .min(1)
    .max(65_535)
    .prefault(8250)
    .describe(
      "Number. Port on this machine that the browser comes back to; http://localhost:PORT/oidc/callback has to be among the role's allowed_redirect_uris. Default 8250, from 1 to 65535.",
    )
    .meta({ examples: [8250] }),
  redirect_uri: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe(
      "OpenBao's own callback as browsers reach it, for roles with callback_mode direct. Default: address/v1/auth/MOUNT/oidc/callback, with the namespace after /v1/.",
    )
    .meta({ examples: ['https://bao.example.com/v1/auth/oidc/oidc/callback'] }),
  mount: mount('oidc'),
});

const awsAuth = z.strictObject({
  method: z.literal('aws'),
  role: role('Role to log in to. Default: the one named like the IAM role or user.').optional(),
  profile: text()
    .optional()
    .describe("Profile in ~/.aws/config to sign with. Default: the SDK's chain (variables, SSO, container, instance)."),
  region: awsRegion().prefault('us-east-1').describe('Region of the STS endpoint that Vault asks. Default us-east-1.'),
  sts_endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe(
      "STS endpoint as the mount's sts_endpoint has it. Default: the global one for us-east-1, else the region's.",
    ),
  server_id: text()
    .optional()
    .describe(
      'Value of X-Vault-AWS-IAM-Server-ID, where the mount asks for one (iam_server_id_header_value). Default: none.',
    )
    .meta({ examples: ['vault.example.com'], secret: false }),
  mount: mount('aws'),
});

export const authSchema = z
  .discriminatedUnion('method', [
    tokenAuth,
    appRoleAuth,
    passwordAuth('userpass'),
    passwordAuth('ldap'),
    jwtAuth,
    kubernetesAuth,
    certAuth,
    oidcAuth,
    awsAuth,
  ])
  .prefault({ method: 'token' })
  .describe('How to log in. Default: method token.');

export type VaultAuth = z.output<typeof authSchema>;
export type AuthOf<Method extends VaultAuth['method']> = Extract<VaultAuth, { method: Method }>;
export type PasswordAuth = AuthOf<'userpass'> | AuthOf<'ldap'>;

/** Only a person can log in: through a browser, or with a password that is kept nowhere. */
export function isInteractive(auth: VaultAuth): boolean {
  return mayBeMadeByAPerson(auth) && !hasPassword(auth);
}

/** `broker login` can make it. With a password in the configuration that is needed only where Vault wants a second factor. */
export function mayBeMadeByAPerson(auth: VaultAuth): auth is AuthOf<'oidc'> | PasswordAuth {
  return auth.method === 'oidc' || auth.method === 'userpass' || auth.method === 'ldap';
}

export function hasPassword(auth: AuthOf<'oidc'> | PasswordAuth): boolean {
  return auth.method !== 'oidc' && (auth.password !== undefined || auth.password_file !== undefined);
}
