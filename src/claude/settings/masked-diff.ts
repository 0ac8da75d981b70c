/**
 * What changes in a settings file, as a person would want to see it before it happens: whole lines, with every text
 * value hidden that was not put there by this program, because settings hold keys.
 */
export function settingsDiff(
  file: string,
  before: string | undefined,
  after: string | undefined,
  ours: readonly string[],
): string {
  const shown = new Set(ours.map((value) => JSON.stringify(value)));
  const lines = changedLines(before ?? '', after ?? '').map(({ sign, text }) => sign + maskValues(text, shown));
  const from = before === undefined ? '/dev/null' : file;
  const to = after === undefined ? '/dev/null' : file;
  return [`--- ${from}`, `+++ ${to}`, ...lines].join('\n');
}

/** The same for TOML: a line is shown if it is one of ours; of any other only its key or header. */
export function tomlDiff(
  file: string,
  before: string | undefined,
  after: string | undefined,
  isOurs: (line: string) => boolean,
): string {
  const mask = (text: string) => {
    if (isOurs(text) || /^@ line|^\s*(\[[\w\s."'-]*\]+\s*)?$/.test(text)) return text;
    return /^\s*#/.test(text) ? '# …' : `${/^\s*[\w."'-]{1,60}\s*=\s*/.exec(text)?.[0] ?? ''}…`;
  };
  const lines = changedLines(before ?? '', after ?? '').map(({ sign, text }) => sign + mask(text));
  const [from, to] = [before, after].map((text) => (text === undefined ? '/dev/null' : file));
  return [`--- ${from}`, `+++ ${to}`, ...lines].join('\n');
}

/** The same for a profile: of a line that goes only what precedes the value is shown, if that is plain. */
export function profileDiff(file: string, before: string, after: string): string {
  const lines = changedLines(before, after).map(({ sign, text }) => sign + maskAssignment(text));
  return [`--- ${file}`, `+++ ${file}`, ...lines].join('\n');
}

interface Line {
  readonly sign: '-' | '+' | '@';
  readonly text: string;
}

/** Edits are few and small: what is alike at both ends of each stretch is cut off, and stretches are found by line. */
function changedLines(before: string, after: string): Line[] {
  const old = splitLines(before);
  const fresh = splitLines(after);
  const kept = commonLines(old, fresh);
  const lines: Line[] = [];
  let at = 0;
  let to = 0;
  for (const [oldIndex, freshIndex] of [...kept, [old.length, fresh.length] as const]) {
    if (at < oldIndex || to < freshIndex) lines.push({ sign: '@', text: `@ line ${to + 1} @@` });
    for (; at < oldIndex; at += 1) lines.push({ sign: '-', text: old[at] ?? '' });
    for (; to < freshIndex; to += 1) lines.push({ sign: '+', text: fresh[to] ?? '' });
    at = oldIndex + 1;
    to = freshIndex + 1;
  }
  return lines;
}

/** Pairs of equal lines in order, greedily: each old line with the next equal new one within reach. */
function commonLines(old: readonly string[], fresh: readonly string[]): (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = [];
  let to = 0;
  for (const [at, line] of old.entries()) {
    // Added stretches are short; a match far away would tear the rest of the file apart.
    const match = fresh.slice(to, to + 64).indexOf(line);
    if (match === -1) continue;
    pairs.push([at, to + match]);
    to += match + 1;
  }
  return pairs;
}

function splitLines(text: string): string[] {
  const lines = text.replaceAll('\r', '').replace('\uFEFF', '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function maskValues(line: string, shown: ReadonlySet<string>): string {
  if (line.startsWith('@ line')) return line;
  // An unfinished string or a comment may hold anything: only whole strings are judged, the rest is cut.
  let result = '';
  let last = 0;
  for (const match of line.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) {
    result += withoutWords(line.slice(last, match.index));
    const isName = match[1] !== undefined;
    result += isName || shown.has(match[0]) ? match[0] : '"…"';
    last = match.index + match[0].length;
  }
  return result + withoutWords(line.slice(last));
}

/** Punctuation, numbers and JSON's three words stay; comments and the rest of broken strings do not. */
function withoutWords(text: string): string {
  return /^[\s{}[\],:]*(true|false|null|-?[\d.]{1,15})?[\s{}[\],:]*$/.test(text)
    ? text
    : `${/^\s*/.exec(text)?.[0] ?? ''}…`;
}

/** A value may go on over lines, so that whatever does not begin an assignment is hidden as a whole. */
function maskAssignment(line: string): string {
  if (line.startsWith('@ line') || /^\s*(: )?#( [A-Z_]+ was taken out by broker doctor;|$)/.test(line)) return line;
  const [plain] = /^\s*(export |set (-[A-Za-z-]+ )*)?(ANTHROPIC|CLAUDE|AWS)_[A-Z_]+[= ]/.exec(line) ?? [''];
  return `${plain}…`;
}
