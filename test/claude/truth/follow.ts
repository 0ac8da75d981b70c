import { askDoctor, compare, type Finding } from './compare.ts';
import { LaidHome } from './home.ts';
import type { Observations } from './observe.ts';
import type { Situation } from './situations.ts';

export interface Followed {
  readonly situation: Pick<Situation, 'name' | 'source' | 'finds'>;
  /** What the doctor said to do. */
  readonly remedy: string;
  /** What went wrong; empty: the cause was named, and its remedy led to a client that works. */
  readonly faults: readonly string[];
}

/** What the doctor says of a situation, and what the real client does once that was done. */
export async function follow(situation: Situation, observations: Observations, version: string): Promise<Followed> {
  const { name, source, finds, carries } = situation;
  const found = await findingsBefore(situation, version);
  const named = found.filter(({ id }) => id === finds);
  const meant = named.find(({ remedy }) => situation.remedy.test(remedy));
  const home = { name: `${name}, done as told`, ...situation.after };
  const seen = await observations.of(home);
  const { report, differences } = await compare(home, seen, version);
  const [xApiKey, authorization] = carries;
  const faults = [
    ...(named.length === 0 ? [`${finds} is not among ${found.map(({ id }) => id).join(', ')}`] : []),
    ...(named.length > 0 && meant === undefined
      ? [`the remedy is: ${named.map(({ remedy }) => remedy).join(' | ')}`]
      : []),
    ...(seen.account.xApiKey === xApiKey && seen.account.authorization === authorization
      ? []
      : [`the client then sends ${seen.account.xApiKey} and ${seen.account.authorization}: ${seen.words}`]),
    ...(report.findings.some(({ id }) => id === finds) ? [`${finds} is found again`] : []),
    ...differences,
  ];
  return {
    situation: { name, finds, ...(source === undefined ? {} : { source }) },
    remedy: (meant ?? named[0])?.remedy ?? '',
    faults,
  };
}

async function findingsBefore({ name, before }: Situation, version: string): Promise<readonly Finding[]> {
  using home = new LaidHome({ name, ...before }, 'http://127.0.0.1:9');
  const { findings } = await askDoctor(home, '', version);
  const shown = (text: string) => text.replaceAll(home.root, '~').replaceAll('~/etc/', '/etc/');
  return findings.map((finding) => ({ ...finding, remedy: shown(finding.remedy) }));
}
