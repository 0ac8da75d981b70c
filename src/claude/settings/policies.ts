import { getNodeValue, type Node } from 'jsonc-parser';
import { lineAndColumn, nodeAt } from './document.ts';

/** What managed settings demand before the client starts. Each was seen to end it. */
export interface ManagedPolicies {
  readonly forceLoginMethod: Demand<string> | undefined;
  readonly forceLoginOrgUUID: Demand<readonly string[]> | undefined;
  /** What is no list of names admits nobody. */
  readonly allowedProviders: Demand<readonly string[]> | undefined;
  readonly requiredMinimumVersion: Demand<string> | undefined;
  readonly requiredMaximumVersion: Demand<string> | undefined;
}

export interface Demand<T> {
  readonly value: T;
  readonly line: number;
}

export function policiesOf(text: string, root: Node | undefined): ManagedPolicies {
  const demand = <T>(name: string, read: (value: unknown) => T | undefined): Demand<T> | undefined => {
    const node = nodeAt(root, [name]);
    const value = node && read(getNodeValue(node));
    return node === undefined || value === undefined
      ? undefined
      : { value, line: lineAndColumn(text, node.offset).line };
  };
  const word = (value: unknown) => (typeof value === 'string' ? value : undefined);
  const names = (value: unknown) =>
    Array.isArray(value) ? value.filter((name) => typeof name === 'string') : undefined;
  return {
    forceLoginMethod: demand('forceLoginMethod', word),
    forceLoginOrgUUID: demand('forceLoginOrgUUID', (value) =>
      word(value) === undefined ? names(value) : [String(value)],
    ),
    allowedProviders: demand('allowedProviders', (value) => names(value) ?? []),
    requiredMinimumVersion: demand('requiredMinimumVersion', word),
    requiredMaximumVersion: demand('requiredMaximumVersion', word),
  };
}
