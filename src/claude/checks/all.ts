import type { Facts } from '../doctor/gather.ts';
import { allowChecks } from './allow.ts';
import { appChecks } from './apps.ts';
import { brokerChecks } from './broker.ts';
import { type Check, type Finding, findingsOf, type Severity } from './check.ts';
import { clientChecks } from './client.ts';
import { credentialChecks } from './credentials.ts';
import { environmentChecks } from './environment.ts';
import { helperChecks } from './helper.ts';
import { otherClientChecks } from './others.ts';
import { outputChecks } from './output.ts';
import { followingLinks, placeChecks } from './places.ts';
import { profileChecks } from './profiles.ts';
import { fileModeChecks, intervalChecks, settingsChecks } from './settings.ts';
import { siblingChecks } from './siblings.ts';

/** In the order in which findings of the same severity are told. */
export const CHECKS: readonly Check[] = [
  ...clientChecks,
  ...settingsChecks,
  ...placeChecks,
  ...credentialChecks,
  ...environmentChecks,
  ...profileChecks,
  ...helperChecks,
  ...outputChecks,
  ...siblingChecks,
  ...intervalChecks,
  ...brokerChecks,
  ...allowChecks,
  ...fileModeChecks,
  ...appChecks,
  ...otherClientChecks,
];

const RANK: Record<Severity, number> = { error: 0, warning: 1, info: 2 };

/** Every finding, what will fail first. */
export function runChecks(facts: Facts): Finding[] {
  return findingsOf(CHECKS, facts)
    .map((finding) => followingLinks(finding, facts))
    .sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}
