import type { ProviderDefinition } from '../definition.ts';
import { type ExecOptions, type ExecSource, execCredentialSchema, execProviderSchema } from './options.ts';

export const execDefinition: ProviderDefinition<ExecOptions, ExecSource> = {
  type: 'exec',
  summary: 'Any command that prints a key, run without a shell',
  providerSchema: execProviderSchema,
  credentialSchema: execCredentialSchema,
  environmentDefaults: {},
  identify: ({ command, args, output }) => JSON.stringify([command ?? null, args, output]),
  describe: ({ command }) => (command === undefined ? "the provider's command" : `command ${command[0]}`),
  async load() {
    const { ExecProvider } = await import('./exec-provider.ts');
    return (options, host) => new ExecProvider(options, host);
  },
};
