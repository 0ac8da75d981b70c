import type { Check } from '../finding.ts';
import { placeText, whereOf } from './places.ts';

/** The helper is still run for nothing, and its key is sent to nobody. */
export const cloudVariable: Check = ({ chain }) => {
  const cloud = chain.methods.find(({ id, present }) => id === 'cloud' && present);
  const helper = chain.methods.find(({ id, present }) => id === 'helper' && present);
  if (cloud === undefined || helper === undefined) return [];
  return [
    {
      id: 'cloud-variable',
      severity: 'error',
      title: `${cloud.name} is set in ${placeText(cloud.place)}`,
      cost: 'every request goes to the cloud provider with its own login; the key of apiKeyHelper is fetched and never used',
      remedy: `unset ${cloud.name} where it is set, or uninstall the helper: broker claude uninstall`,
      ...whereOf(cloud.place),
    },
  ];
};
