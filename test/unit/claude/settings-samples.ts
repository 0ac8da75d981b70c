/** Settings files as people and programs leave them: every combination of body, line end, indentation, mark and tail. */
export interface Sample {
  readonly body: string;
  readonly name: string;
  readonly text: string;
}

const BODIES: Record<string, string> = {
  empty: '',
  'empty object': '{}',
  'empty object over lines': '{\n}',
  'empty object with a space': '{ }',
  'comment only': '// nothing yet\n',
  'comment without line end': '/* nothing yet */',
  'one line': '{"model":"opus"}',
  'one line with spaces': '{ "model": "opus", "env": { "A": "1" } }',
  plain: '{\n  "model": "opus",\n  "env": {\n    "A": "1",\n    "B": "zwölf €"\n  }\n}',
  'empty env': '{\n  "env": {},\n  "model": "opus"\n}',
  'env last': '{\n  "model": "opus",\n  "env": {\n    "A": "1"\n  }\n}',
  comments:
    '// head\n{ // behind the brace\n  /* before */ "model": "opus", // behind\n  "env": { // in env\n    "A": "1" // a\n  }\n  // tail\n}\n// end',
  'comment only inside': '{\n  // "apiKeyHelper": "old"\n}',
  'trailing commas': '{\n  "model": "opus",\n  "env": {\n    "A": "1",\n  },\n}',
  'duplicate keys': '{\n  "model": "a",\n  "env": { "A": "1" },\n  "model": "b",\n  "env": {\n    "A": "2"\n  }\n}',
  'permissions there':
    '{\n  "permissions": {\n    "allow": ["Bash(ls:*)"],\n    "deny": [\n      "Read(./.env)"\n    ]\n  }\n}',
  'permissions in one line': '{ "permissions": { "deny": ["Read(./.env)", "Bash(broker get:*)"] } }',
  'braces on their own': '{\n"model":"opus"\n,\n"env":\n{\n"A":"1"\n}\n}',
  'strings that look like code': '{\n  "note": "{ \\"env\\": { // no",\n  "hooks": { "x": ["}", "{"] }\n}',
};

const LINE_ENDS: Record<string, string> = { LF: '\n', CRLF: '\r\n' };
const INDENTS: Record<string, string> = { spaces: '  ', tabs: '\t', four: '    ' };
const MARKS: Record<string, string> = { '': '', BOM: '\uFEFF' };
const TAILS: Record<string, string> = { '': '', newline: '\n' };

/** By body; no two have the same text. */
export const SAMPLES: ReadonlyMap<string, readonly Sample[]> = Map.groupBy(allSamples(), ({ body }) => body);

function allSamples(): Sample[] {
  const samples = new Map<string, Sample>();
  for (const [body, text] of Object.entries(BODIES)) {
    for (const [indent, unit] of Object.entries(INDENTS)) {
      for (const [lineEnd, eol] of Object.entries(LINE_ENDS)) {
        for (const [mark, bom] of Object.entries(MARKS)) {
          for (const [tail, end] of Object.entries(TAILS)) {
            const indented = text.replaceAll(/^( {2})+/gm, (lead) => unit.repeat(lead.length / 2));
            const whole = bom + (indented + end).replaceAll('\n', eol);
            const name = [body, indent, lineEnd, mark, tail].filter(Boolean).join(', ');
            if (!samples.has(whole)) samples.set(whole, { body, name, text: whole });
          }
        }
      }
    }
  }
  return [...samples.values()];
}
