import { z } from 'zod';
import type { Config } from '../src/config/config.ts';
import { SecretBytes } from '../src/credential/secret.ts';
import type { Provider, ProviderDefinition } from '../src/providers/provider.ts';

const DAY_MS = 24 * 3_600_000;

/** Has a leased key for every path, at once: what is measured is the broker. */
export const boundlessProvider: ProviderDefinition = {
  type: 'boundless',
  summary: 'for benchmarks',
  providerSchema: z.strictObject({}),
  credentialSchema: z.strictObject({}),
  environmentDefaults: {},
  identify: (source) => String(source),
  describe: (source) => String(source),
  load: async () => () => boundless,
};

let issued = 0;

const boundless: Provider = {
  callLimitMs: 30_000,
  issue: async ({ source }) => {
    issued += 1;
    return {
      content: { kind: 'text', text: SecretBytes.fromString(`sk-${String(source).padStart(105, '0')}`) },
      version: '1',
      lease: {
        id: `lease-${process.pid}-${issued}`,
        durationMs: DAY_MS,
        renewable: false,
        maxDurationMs: DAY_MS,
        loginId: undefined,
      },
      ttlHintMs: undefined,
      expiresAtServerMs: undefined,
      serverTimeMs: undefined,
    };
  },
  loginInputs: () => [],
  forgetLogin: () => undefined,
  close: () => undefined,
};

export function nameOf(index: number): string {
  return `credential-${index}`;
}

export function configWith(count: number): Config {
  const credentials = Array.from({ length: count }, (_, index) => ({
    name: nameOf(index),
    provider: 'all',
    field: undefined,
    fields: undefined,
    expiresField: undefined,
    ttlMs: DAY_MS,
    maxStaleMs: DAY_MS,
    source: `secret/${index}`,
  }));
  return {
    file: '/nowhere/config.toml',
    defaultCredential: nameOf(0),
    providers: new Map([['all', { name: 'all', type: 'boundless', options: {} }]]),
    credentials: new Map(credentials.map((credential) => [credential.name, credential])),
    daemon: {
      turnMarginMs: 120_000,
      idleAfterMs: 3_600_000,
      idleExitMs: 0,
      revokeOnExit: false,
      logLevel: 'error',
      cache: 'disk',
      keyHome: 'file',
    },
  };
}
