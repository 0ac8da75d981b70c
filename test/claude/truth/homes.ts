import type { TruthHome } from './home.ts';
import { CLOUD_HOMES } from './homes-clouds.ts';
import { FOUND_HOMES } from './homes-found.ts';
import { METHOD_HOMES } from './homes-methods.ts';
import { POLICY_HOMES } from './homes-policies.ts';
import { SETTINGS_HOMES } from './homes-settings.ts';

export const TRUTH_HOMES: readonly TruthHome[] = [
  ...METHOD_HOMES,
  ...CLOUD_HOMES,
  ...SETTINGS_HOMES,
  ...POLICY_HOMES,
  ...FOUND_HOMES,
];
