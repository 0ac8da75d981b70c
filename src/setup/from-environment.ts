import { findDefinition } from '../providers/registry.ts';
import { absolute, type Surroundings } from './normalise.ts';
import { connectionQuestions, type ProviderKind } from './questions.ts';

type Environment = Readonly<Record<string, string | undefined>>;
type Options = Readonly<Record<string, string>>;

/** Trust in whatever certificate is not taken over from a variable that somebody once exported. */
const NEVER = new Set(['skip_verify']);

/**
 * What this shell's variables say of keys that nobody is asked for: a namespace, certificates, the proxy on the way. A
 * daemon does not inherit them, so that they have to stand in the configuration.
 */
export function withEnvironment(
  kind: ProviderKind,
  options: Options,
  env: Environment,
  surroundings: Surroundings,
): Options {
  const asked = connectionQuestions(kind, undefined).filter(({ needed, asked }) => needed || asked);
  const left = new Set([...NEVER, ...asked.map(({ key }) => key)]);
  const filled: Record<string, string> = { ...options };
  for (const [key, contributed] of Object.entries(findDefinition(kind)?.environmentDefaults ?? {})) {
    if (left.has(key) || key.includes('.') || filled[key] !== undefined) continue;
    const variables = 'variablesFor' in contributed ? contributed.variablesFor(filled, env) : contributed;
    const value = variables.map((name) => env[name]).find((text) => text !== undefined && text !== '');
    if (value !== undefined) filled[key] = key.endsWith('_file') ? absolute(value, surroundings) : value;
  }
  return filled;
}
