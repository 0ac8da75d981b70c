import type { Check } from '../finding.ts';

/** What could not be looked at is said, so that silence means something. */
export const unreadableProfile: Check = ({ input }) =>
  input.profiles
    .filter(({ state }) => state !== 'read')
    .map(({ file, state, code }) => ({
      id: 'profile-unreadable',
      severity: 'info',
      title: `${file} could not be searched (${code ?? state})`,
      cost: 'a variable that it sets would not be found',
      remedy: `look into ${file} yourself`,
      where: file,
    }));
