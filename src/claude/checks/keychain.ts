import type { Check } from '../finding.ts';

/** What could not be found out is said, so that "not there" means something. */
export const keychain: Check = ({ input }) =>
  input.login.unknown
    ? [
        {
          id: 'keychain-unreadable',
          severity: 'info',
          title: 'the macOS Keychain did not say whether it holds a login of Claude Code',
          cost: 'a subscription login that lies there is missing above; it only wins where nothing else is set',
          remedy: 'see for yourself: security find-generic-password -s "Claude Code-credentials"',
        },
      ]
    : [];
