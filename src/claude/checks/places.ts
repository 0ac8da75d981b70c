import type { Place } from '../effective.ts';

/** `~/.zshrc:12`, or words for what lies in no file. */
export function placeText(place: Place | undefined): string {
  if (place?.file === undefined) return place?.kind === 'environment' ? 'the environment' : 'an unknown place';
  return place.line === undefined ? place.file : `${place.file}:${place.line}`;
}

/** For a finding's `where`: only what is in a file. */
export function whereOf(place: Place | undefined): { where: string } | Record<string, never> {
  return place?.file === undefined ? {} : { where: placeText(place) };
}
