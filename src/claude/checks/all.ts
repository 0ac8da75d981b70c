import type { Facts } from '../facts.ts';
import type { Check, Finding, Severity } from '../finding.ts';
import { agentAccess } from './agent-access.ts';
import { bareMode } from './bare-mode.ts';
import { baseUrl } from './base-url.ts';
import { brokerState } from './broker-state.ts';
import { clockSkew } from './clock-skew.ts';
import { cloudVariable } from './cloud-variable.ts';
import { configDifferences } from './config-differences.ts';
import { configFolder } from './config-folder.ts';
import { customHeadersCheck } from './custom-headers.ts';
import { declinedKey } from './declined-key.ts';
import { foreignHelper } from './foreign-helper.ts';
import { helperBehaviour } from './helper-behaviour.ts';
import { helperOutput } from './helper-output.ts';
import { helperProgram } from './helper-program.ts';
import { helperPrompts } from './helper-prompts.ts';
import { helperStdin } from './helper-stdin.ts';
import { keyHome } from './key-home.ts';
import { keyShape } from './key-shape.ts';
import { keychain } from './keychain.ts';
import { looseModes } from './loose-modes.ts';
import { managedSources } from './managed-sources.ts';
import { noMethod } from './no-method.ts';
import { otherApps } from './other-apps.ts';
import { overridingVariable } from './overriding-variable.ts';
import { placeholderHelper } from './placeholder-helper.ts';
import { profileVariable } from './profile-variable.ts';
import { proxy } from './proxy.ts';
import { refreshInterval } from './refresh-interval.ts';
import { remoteControl } from './remote-control.ts';
import { secondBroker } from './second-broker.ts';
import { settingsState } from './settings-state.ts';
import { simpleMode } from './simple-mode.ts';
import { staticKey } from './static-key.ts';
import { twoMethods } from './two-methods.ts';
import { unreadableProfile } from './unreadable-profile.ts';
import { untrustedProject } from './untrusted-project.ts';

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
