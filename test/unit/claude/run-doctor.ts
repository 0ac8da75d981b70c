import { mkdirSync } from 'node:fs';
import { type DoctorParts, doctorCommand } from '../../../src/cli/commands/doctor.ts';
import type { TemporaryHome } from './home.ts';
import { statusOf } from './status-sample.ts';
import { type CapturedIo, captureIo } from './test-io.ts';

/** `broker doctor` in the project of this home, with a healthy daemon unless `parts` say otherwise. */
export async function runDoctor(
  home: TemporaryHome,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
  parts: Partial<DoctorParts> = {},
): Promise<CapturedIo> {
  mkdirSync(home.path('project'), { recursive: true });
  const io = captureIo(home, env);
  const all = { fetchStatus: async () => statusOf(), systemRoot: home.path('system'), ...parts };
  await doctorCommand(io, all).parseAsync(['node', 'broker', '--project', home.path('project'), ...flags]);
  return io;
}
