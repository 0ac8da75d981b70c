import fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { type CodexWish, planCodexInstall } from '../../../src/clients/codex-install.ts';
import { type CodexRecord, planCodexUninstall } from '../../../src/clients/codex-uninstall.ts';
import { CODEX_SAMPLES } from './codex-samples.ts';

const FILE = 'config.toml';
const WISH: CodexWish = {
  provider: undefined,
  baseUrl: undefined,
  displayName: undefined,
  select: true,
  command: '/opt/broker/bin/broker-key',
  args: ['work'],
  timeoutMs: 10_000,
  refreshMs: 300_000,
  force: false,
};
const AUTH = { command: WISH.command, args: ['work'], timeout_ms: 10_000, refresh_interval_ms: 300_000 };

type Values = Record<string, unknown> & {
  model_provider?: string;
  model_providers?: Record<string, Record<string, unknown>>;
};

const valuesOf = (text: string | Buffer | undefined): Values =>
  parse(text?.toString() ?? '', { integersAsBigInt: 'asNeeded' }) as Values;

function installed(text: string | undefined, more: Partial<CodexWish> = {}, record?: CodexRecord) {
  const before = text === undefined ? undefined : Buffer.from(text);
  const plan = planCodexInstall(before, record, { ...WISH, ...more }, FILE);
  // As it comes back from the state folder.
  const kept = plan.record && (JSON.parse(JSON.stringify(plan.record)) as CodexRecord);
  return { ...plan, record: kept, text: plan.content?.toString() ?? '' };
}

const uninstalled = (text: string, record: CodexRecord | undefined) =>
  planCodexUninstall(Buffer.from(text), record, FILE);

test('there are enough shapes to mean something', () => {
  expect(CODEX_SAMPLES.length).toBeGreaterThanOrEqual(40);
  expect(new Set(CODEX_SAMPLES.map(({ name }) => name)).size).toBe(CODEX_SAMPLES.length);
});

describe.each(CODEX_SAMPLES)('$name', ({ text, provider, force = false }) => {
  const wish = { ...(provider === undefined ? {} : { provider }), force };
  const id = provider ?? 'broker';

  test('the command is in, and nothing else has another value', () => {
    const after = valuesOf(installed(text, wish).text);
    expect(after.model_provider).toBe(id);
    expect(after.model_providers?.[id]?.['auth']).toEqual(AUTH);
    const rest = (values: Values) => {
      const { model_provider: _, model_providers: providers = {}, ...others } = values;
      const { [id]: own = {}, ...foreign } = providers;
      const { auth: __, env_key: ___, requires_openai_auth: ____, ...kept } = own;
      return { others, foreign, kept: id === 'broker' ? {} : kept };
    };
    expect(rest(after)).toEqual(rest(valuesOf(text)));
  });

  test('every line that was there is there still, in its order', () => {
    const { text: after, record } = installed(text, wish);
    // Lines that were edited within, or taken out because the person said --force.
    const lineAt = (offset: number) => text.slice(0, offset).split('\n').length - 1;
    const touched = record?.edits.flatMap(({ offset, removed }) => {
      const first = lineAt(offset);
      return Array.from({ length: lineAt(offset + removed.length) - first + 1 }, (_, index) => first + index);
    });
    const lines = after.split('\n');
    let at = -1;
    for (const [index, line] of text.split('\n').entries()) {
      if (touched?.includes(index)) continue;
      at = lines.indexOf(line, at + 1);
      expect(at, line).toBeGreaterThanOrEqual(0);
    }
  });

  test('uninstalling gives the same bytes', () => {
    const { text: after, record } = installed(text, wish);
    const undone = uninstalled(after, record);
    expect(undone.content?.toString()).toBe(text);
    expect(undone.exact).toBe(true);
  });

  test('installing again changes nothing, and with other words only ours', () => {
    const first = installed(text, wish);
    expect(installed(first.text, wish, first.record).text).toBe(first.text);
    const second = installed(first.text, { ...wish, args: [], force: false }, first.record);
    expect(valuesOf(second.text).model_providers?.[id]?.['auth']).toEqual({ ...AUTH, args: [] });
    expect(uninstalled(second.text, second.record).content?.toString()).toBe(text);
  });

  test('what was written since stays', () => {
    const { text: after, record } = installed(text, wish);
    const eol = text.includes('\r\n') ? '\r\n' : '\n';
    const later = `${after}${after.endsWith('\n') ? '' : eol}${eol}[projects."/later"]${eol}trust_level = "trusted"${eol}`;
    const { content, exact } = uninstalled(later, record);
    expect(exact).toBe(false);
    const { projects = {}, ...others } = valuesOf(content);
    const { projects: known = {}, ...before } = valuesOf(text);
    expect(projects).toEqual({ ...(known as object), '/later': { trust_level: 'trusted' } });
    expect(others).toEqual(before);
  });

  test('our lines go even if somebody changed a number in them', () => {
    const { text: after, record } = installed(text, wish);
    const { content } = uninstalled(
      after.replace('refresh_interval_ms = 300000', 'refresh_interval_ms = 60000'),
      record,
    );
    expect(valuesOf(content)).toEqual(valuesOf(text));
  });
});

/** Parts of a file that may stand in any order; those of the root come first. */
const ROOT_PARTS = [
  'model = "m" # x',
  "tui.theme = 'dark'",
  '# model_provider = "gate"',
  'model_providers.dotted.name = "D"\nmodel_providers.dotted.base_url = "http://d"',
  'note = """\n[model_providers.broker]\n"""',
  'hooks = [{ run = "a", env = { A = "1" } },\n  { run = "b" }]',
  '',
];
const TABLE_PARTS = [
  '[model_providers.gate]\nname = "G"\nbase_url = "http://g"',
  '[model_providers.gate.http_headers]\nX = "1"',
  '[ model_providers . "quo.ted" ]\nname = "Q" # q',
  '[[list]]\na = 1\n[[list]]\na = 2\n[list.sub]\nb = 1',
  '  [projects."/home/a b"]\n  trust_level = "trusted"',
  '# --- a heading ---',
  '[empty]',
  '',
];

test('whatever the order, the line ends and the end of the file: in, and out to the same bytes', () => {
  const parts = fc.record({
    root: fc.shuffledSubarray(ROOT_PARTS),
    tables: fc.shuffledSubarray(TABLE_PARTS),
    eol: fc.constantFrom('\n', '\r\n'),
    mark: fc.constantFrom('', '\uFEFF'),
    end: fc.constantFrom('', '\n', '\n\n'),
    provider: fc.constantFrom(undefined, 'gate', 'dotted', 'quo.ted', 'fresh'),
    select: fc.boolean(),
  });
  fc.assert(
    fc.property(parts, ({ root, tables, eol, mark, end, provider, select }) => {
      const text = mark + ([...root, ...tables].join('\n') + end).replaceAll('\n', eol);
      const { text: after, record } = installed(text, { provider, select });
      expect(valuesOf(after).model_providers?.[provider ?? 'broker']?.['auth']).toEqual(AUTH);
      expect(valuesOf(after).model_provider).toBe(select ? (provider ?? 'broker') : undefined);
      expect(uninstalled(after, record).content?.toString()).toBe(text);
      // As if somebody had edited it in between, far from our lines.
      const edited = `${after}${eol}[zzz]${eol}`;
      const { zzz, ...others } = valuesOf(uninstalled(edited, record).content);
      expect(zzz).toEqual({});
      expect(others).toEqual(valuesOf(text));
    }),
    { numRuns: 300 },
  );
});
