import type { Check, Finding } from '../finding.ts';
import { runsBrokerHelper } from '../helper-command.ts';
import type { SettingsFile } from '../settings-files.ts';

/** Settings files that the client does not take, or takes differently than they look. */
export const settingsState: Check = ({ input }) => {
  const findings = input.settings.flatMap((settings) => [...unusable(settings), ...duplicated(settings)]);
  const inEffect = input.settings.filter(({ state, helper }) => state === 'in-effect' && helper !== undefined);
  const [strongest, ...hidden] = inEffect;
  for (const settings of hidden) {
    if (settings.helper?.value === strongest?.helper?.value) continue;
    const areOurs = [settings, strongest].every((each) => runsBrokerHelper(each?.helper?.value ?? ''));
    findings.push({
      id: 'helper-shadowed',
      severity: areOurs ? 'info' : 'warning',
      title: `the apiKeyHelper in ${settings.file} is hidden by the one in ${strongest?.file}`,
      cost: areOurs
        ? 'here the client asks the broker for another credential, which is right if you meant it'
        : 'another program gives the keys than the one you set up',
      remedy: `remove the apiKeyHelper that you do not want from ${strongest?.file} or ${settings.file}`,
      where: `${settings.file}:${settings.helper?.line}`,
    });
  }
  return findings;
};

function unusable({ file, scope, state, problem, code }: SettingsFile): Finding[] {
  if (state === 'missing' || state === 'outranked' || (state === 'in-effect' && problem === undefined)) return [];
  if (problem !== undefined && state === 'in-effect') {
    const where = `${file}:${problem.position.line}`;
    return [
      {
        id: 'settings-entry-ignored',
        severity: 'warning',
        title: `${where}: ${problem.what}`,
        cost: 'the client leaves this entry out and takes the rest of the managed settings',
        remedy: `write the command as text in ${where}, as in "apiKeyHelper": "/usr/local/bin/broker-key"`,
        where,
      },
    ];
  }
  if (problem !== undefined) {
    const where = `${file}:${problem.position.line}:${problem.position.column}`;
    return [
      {
        id: state === 'broken' ? 'settings-broken' : 'settings-refused',
        severity: 'error',
        title: `${where}: ${problem.what}`,
        cost: `the client leaves out the whole file, permission rules and hooks included; claude -p does not start${scope === 'managed' ? ', for nobody on this machine' : ''}`,
        remedy: remedyFor(file, state, problem.position.line),
        where,
      },
    ];
  }
  const reason =
    state === 'too-large' ? 'is too large' : state === 'no-file' ? 'is no regular file' : `cannot be read (${code})`;
  return [
    {
      id: 'settings-unreadable',
      severity: 'error',
      title: `${file} ${reason}`,
      cost: 'nothing in it is in effect',
      remedy:
        state === 'unreadable' && code === 'EACCES'
          ? `type: chmod u+r ${file}`
          : `put a regular JSON file there, or remove it`,
      where: file,
    },
  ];
}

function duplicated({ file, duplicates }: SettingsFile): Finding[] {
  return duplicates.map((name) => ({
    id: 'settings-duplicate',
    severity: 'warning',
    title: `"${name}" stands twice in ${file}`,
    cost: 'only the last one counts; the other looks as if it did',
    remedy: `remove all but the last "${name}"`,
    where: file,
  }));
}

function remedyFor(file: string, state: SettingsFile['state'], line: number): string {
  if (file.endsWith('.plist')) return `mend the profile that puts ${file} there`;
  return state === 'refused'
    ? `change line ${line} by hand: the client takes strict JSON, and a helper has to be text`
    : `mend line ${line} by hand`;
}
