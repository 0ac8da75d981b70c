import type { ProcessIo } from '../../../src/platform/process-io.ts';
import { uidFor } from '../../fakes/fake-io.ts';
import { realClock } from '../../fakes/real-clock.ts';
import type { TemporaryHome } from './home.ts';

export interface CapturedIo extends ProcessIo {
  out: string;
  err: string;
  exitCode: number;
}

/** A command's surroundings inside a home of its own. */
export function captureIo(
  home: TemporaryHome,
  env: Record<string, string> = {},
  platform: NodeJS.Platform = 'linux',
): CapturedIo {
  const io: CapturedIo = {
    out: '',
    err: '',
    exitCode: 0,
    stdout: (text) => {
      io.out += typeof text === 'string' ? text : Buffer.from(text).toString();
    },
    stderr: (text) => {
      io.err += text;
    },
    env: {
      HOME: home.root,
      PATH: '/usr/bin:/bin',
      BROKER_STATE_DIR: home.path('state'),
      BROKER_SOCKET: home.path('no.sock'),
      ...env,
    },
    homeDir: home.root,
    get uid() {
      return uidFor(io.env);
    },
    pid: process.pid,
    ppid: process.ppid,
    platform,
    stdoutIsTty: false,
    stderrIsTty: false,
    columns: undefined,
    clock: realClock,
    signal: new AbortController().signal,
    setExitCode: (code) => {
      io.exitCode = code;
    },
  };
  return io;
}
