import { stripVTControlCharacters, styleText } from 'node:util';
import { VERSION } from '../platform/installation.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { duration, printable } from '../platform/text.ts';

type Format = Parameters<typeof styleText>[0];
/** Colours a text, or leaves it alone where colour is not wanted. */
export type Paint = (format: Format, text: string) => string;

/** https://no-color.org: present and not empty means no. */
export function painter(io: Pick<ProcessIo, 'env' | 'stdoutIsTty'>): Paint {
  const wanted = io.stdoutIsTty && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb';
  return wanted ? (format, text) => styleText(format, text, { validateStream: false }) : (_, text) => text;
}

/** Columns as wide as their widest cell, two spaces between, no trailing spaces. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, width(cell));
    });
  }
  const lines = rows.map((row) => row.map((cell, i) => cell + ' '.repeat((widths[i] ?? 0) - width(cell))).join('  '));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** `in 5 min`, `2 h ago`, `now`. `at` is RFC 3339. */
export function relative(at: string, nowMs: number): string {
  const ms = Date.parse(at) - nowMs;
  if (Math.abs(ms) < 1000) return 'now';
  return ms > 0 ? `in ${duration(ms)}` : `${duration(-ms)} ago`;
}

/** How every command prints JSON. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

export function thousands(count: number): string {
  return count.toLocaleString('en');
}

/** After an upgrade the old daemon runs on until it is told; undefined if daemon and CLI are of one version. */
export function versionDifference(ofDaemon: string): { readonly text: string; readonly remedy: string } | undefined {
  if (ofDaemon === VERSION) return undefined;
  return {
    text: `the daemon that runs is version ${printable(ofDaemon)}, this is ${VERSION}`,
    remedy: 'let this version take over, without a failed call: broker service install',
  };
}
