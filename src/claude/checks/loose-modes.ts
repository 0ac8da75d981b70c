import type { GuardedFile } from '../facts.ts';
import type { Check, Finding } from '../finding.ts';

/** Files that others can write run their code as you; secrets that others can read are no secrets. */
export const looseModes: Check = ({ guarded, uid }) => guarded.flatMap((file) => judge(file, uid));

function judge({ file, role, mode, uid }: GuardedFile, me: number): Finding[] {
  const findings: Finding[] = [];
  if (uid !== me && uid !== 0) {
    findings.push({
      id: 'foreign-owner',
      severity: 'error',
      title: `${file} belongs to another user (uid ${uid})`,
      cost: role === 'secret' ? 'they can read and replace it' : 'they decide what runs as you',
      remedy: `make it your own: sudo chown ${me} ${file}`,
      where: file,
    });
  }
  const wanted = role === 'secret' || role === 'state' ? mode & ~0o077 : mode & ~0o022;
  if (wanted === mode) return findings;
  const writable = (mode & 0o022) !== 0;
  findings.push({
    id: writable ? 'writable-by-others' : 'readable-by-others',
    severity: writable ? 'error' : 'warning',
    title: `${file} can be ${writable ? 'changed' : 'read'} by other users of this machine (mode ${octal(mode)})`,
    cost: writable
      ? 'whoever can write it decides what runs as you, or which key you use'
      : 'every user and service of this machine can read the secret in it',
    remedy: `type: chmod ${octal(wanted)} ${file}`,
    where: file,
    ...(uid === me ? { fix: { kind: 'chmod', file, mode: wanted } as const } : {}),
  });
  return findings;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
