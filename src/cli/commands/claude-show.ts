import { readAllSettings } from '../../claude/all-settings.ts';
import { followLinks } from '../../claude/atomic-file.ts';
import { runsBrokerHelper } from '../../claude/helper-command.ts';
import { readRecord } from '../../claude/install-record.ts';
import type { SettingsFile } from '../../claude/settings-files.ts';
import { describeCommand } from '../../claude/show-command.ts';
import { TTL_VARIABLE } from '../../claude/variables.ts';
import { stateDir } from '../../config/paths.ts';
import type { CliIo } from '../cli-io.ts';
import type { PlaceOptions } from './claude.ts';
import { rootsOf } from './claude-place.ts';

export function showAction(io: CliIo, options: PlaceOptions): void {
  const files = readAllSettings(rootsOf(io, options));
  const counts = files.find(({ state, helper }) => state === 'in-effect' && helper !== undefined);
  const rows = files.map((settings) => ({ ...describe(io, settings), counts: settings === counts }));
  if (options.json) {
    io.stdout(`${JSON.stringify({ files: rows }, null, 2)}\n`);
    return;
  }
  for (const row of rows) {
    const mark = row.counts ? '*' : ' ';
    io.stdout(`${mark} ${row.scope.padEnd(8)} ${row.file}: ${row.state.replace('in-effect', 'in effect')}\n`);
    if (row.helper !== null)
      io.stdout(`             line ${row.line}: ${row.helper}${row.ours ? '' : ' (not the broker)'}\n`);
    if (row.ttlMs !== null) io.stdout(`             kept for ${row.ttlMs} ms\n`);
    if (row.installed.length > 0) io.stdout(`             installed by broker: ${row.installed.join(', ')}\n`);
  }
  io.stdout(counts === undefined ? 'no file sets apiKeyHelper\n' : '* this apiKeyHelper counts\n');
}

function describe(io: CliIo, settings: SettingsFile) {
  const { scope, file, state, problem, helper, env } = settings;
  const ours = helper !== undefined && runsBrokerHelper(helper.value);
  const where = problem === undefined ? '' : ` (${problem.what}, line ${problem.position.line})`;
  return {
    scope,
    file,
    state: state + where,
    helper: helper === undefined ? null : describeCommand(helper.value, ours),
    line: helper?.line ?? null,
    ours,
    ttlMs: wholeNumber(env.get(TTL_VARIABLE)?.value),
    installed: installedIn(io, file),
  };
}

/** Nonsense is the doctor's to report, and may be anything. */
function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text.trim()) ? Number(text) : null;
}

function installedIn(io: CliIo, file: string): string[] {
  try {
    const record = readRecord(stateDir(io), followLinks(file));
    return record?.additions.map(({ addition }) => addition.path.join('.')) ?? [];
  } catch {
    return [];
  }
}
