import type { Facts } from '../doctor/gather.ts';
import type { Check, Finding, Severity } from '../doctor/report.ts';
import { otherApps, remoteControl } from './apps.ts';
import { brokerState, clockSkew, configDifferences, keyHome } from './broker.ts';
import { declinedKey, keychain, noMethod, staticKey, twoMethods } from './credentials.ts';
import {
  bareMode,
  baseUrl,
  cloudVariable,
  customHeadersCheck,
  overridingVariable,
  profileVariable,
  proxy,
  simpleMode,
} from './environment.ts';
import {
  agentAccess,
  foreignHelper,
  helperProgram,
  helperPrompts,
  placeholderHelper,
  secondBroker,
  untrustedProject,
} from './helper.ts';
import { helperBehaviour, helperOutput, helperStdin, keyShape } from './output.ts';
import {
  configFolder,
  looseModes,
  managedSources,
  refreshInterval,
  settingsState,
  unreadableProfile,
} from './settings.ts';

const CHECKS: readonly Check[] = [
  settingsState,
  managedSources,
  noMethod,
  cloudVariable,
  overridingVariable,
  customHeadersCheck,
  simpleMode,
  twoMethods,
  declinedKey,
  profileVariable,
  keyShape,
  baseUrl,
  proxy,
  placeholderHelper,
  helperProgram,
  helperStdin,
  helperPrompts,
  helperBehaviour,
  helperOutput,
  staticKey,
  foreignHelper,
  untrustedProject,
  refreshInterval,
  brokerState,
  keyHome,
  configDifferences,
  secondBroker,
  clockSkew,
  looseModes,
  configFolder,
  bareMode,
  otherApps,
  remoteControl,
  agentAccess,
  unreadableProfile,
  keychain,
];

const RANK: Record<Severity, number> = { error: 0, warning: 1, info: 2 };

/** Every finding, what will fail first. */
export function runChecks(facts: Facts): Finding[] {
  return CHECKS.flatMap((check) => check(facts)).sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}

/** The exit code of `broker doctor`: 0 nothing, 1 warnings, 2 something will fail. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ severity }) => severity === 'error')) return 2;
  return findings.some(({ severity }) => severity === 'warning') ? 1 : 0;
}
