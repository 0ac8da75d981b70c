import type { Node } from 'jsonc-parser';
import { valueAt } from './document.ts';

/** What one settings file says of the client's own sandbox. undefined: nothing. */
export interface SandboxSettings {
  readonly enabled: boolean | undefined;
  readonly failIfUnavailable: boolean | undefined;
  readonly allowUnsandboxedCommands: boolean | undefined;
  readonly allowAllUnixSockets: boolean | undefined;
  readonly excludedCommands: readonly string[];
}

export function sandboxOf(root: Node | undefined): SandboxSettings {
  const flag = (...path: string[]) => {
    const value = valueAt(root, ['sandbox', ...path]);
    return typeof value === 'boolean' ? value : undefined;
  };
  const excluded = valueAt(root, ['sandbox', 'excludedCommands']);
  return {
    enabled: flag('enabled'),
    failIfUnavailable: flag('failIfUnavailable'),
    allowUnsandboxedCommands: flag('allowUnsandboxedCommands'),
    allowAllUnixSockets: flag('network', 'allowAllUnixSockets'),
    excludedCommands: Array.isArray(excluded) ? excluded.map(String) : [],
  };
}

/** @param files those in effect, the strongest first: it decides each flag; lists add up. */
export function mergedSandbox(files: readonly { readonly sandbox: SandboxSettings }[]): SandboxSettings {
  const first = (name: Exclude<keyof SandboxSettings, 'excludedCommands'>) =>
    files.find(({ sandbox }) => sandbox[name] !== undefined)?.sandbox[name];
  return {
    enabled: first('enabled'),
    failIfUnavailable: first('failIfUnavailable'),
    allowUnsandboxedCommands: first('allowUnsandboxedCommands'),
    allowAllUnixSockets: first('allowAllUnixSockets'),
    excludedCommands: files.flatMap(({ sandbox }) => sandbox.excludedCommands),
  };
}
