import type { Check } from '../finding.ts';

/** The daemon corrects for it; other programs on the machine do not. */
const TOLERATED_MS = 30_000;

export const clockSkew: Check = ({ broker }) => {
  const skew = broker.providerSkewMs;
  if (skew === undefined || Math.abs(skew) <= TOLERATED_MS) return [];
  return [
    {
      id: 'clock-skew',
      severity: 'warning',
      title: `this machine's clock is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? 'ahead of' : 'behind'} the provider's`,
      cost: 'signed requests (AWS) are refused, and tokens look dead before their time or alive after it',
      remedy: 'turn on time synchronisation: timedatectl set-ntp true',
    },
  ];
};
