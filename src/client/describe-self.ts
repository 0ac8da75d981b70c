import { fstatSync, readlinkSync, type Stats } from 'node:fs';
import { SESSION_START } from '../protocol/request.ts';

interface SelfFacts {
  readonly pid: number;
  readonly ppid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The CLIENT_HINTS that the native helper would send in our place; see protocol/request.ts.
 * @param rejected the key was refused.
 */
export function describeSelf({ pid, ppid, env }: SelfFacts, rejected = false): string {
  const hints = [`pid=${pid}`, `ppid=${ppid}`, `stdin=${kindOf(0)}`, `stdout=${kindOf(1)}`];
  const entrypoint = env['CLAUDE_CODE_ENTRYPOINT'];
  if (entrypoint !== undefined && /^[a-z0-9-]{1,32}$/.test(entrypoint)) hints.push(`entrypoint=${entrypoint}`);
  const session = env['CLAUDE_CODE_SESSION_ID']?.slice(0, SESSION_START);
  if (session !== undefined && /^[a-z0-9-]{8}$/.test(session)) hints.push(`session=${session}`);
  if (env['CLAUDE_CODE_MCP_SERVER_NAME'] !== undefined) hints.push('purpose=mcp');
  if (env['CLAUDECODE'] !== undefined) hints.push('agent=1');
  if (rejected || env['CLAUDE_HELPER_CONTEXT'] === 'mid-session-refresh') hints.push('rejected=1');
  return hints.join(', ');
}

function kindOf(fd: number): string {
  let stats: Stats;
  try {
    stats = fstatSync(fd);
  } catch {
    return 'closed';
  }
  if (stats.isSocket()) return 'socket';
  if (stats.isFIFO()) return 'pipe';
  if (stats.isFile()) return 'file';
  if (!stats.isCharacterDevice()) return 'other';
  return deviceName(fd) === '/dev/null' ? 'null' : 'tty';
}

function deviceName(fd: number): string | undefined {
  try {
    return readlinkSync(`/dev/fd/${fd}`);
  } catch {
    return undefined;
  }
}
