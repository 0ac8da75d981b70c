import type { Check, Finding } from '../finding.ts';
import { describeCommand } from '../show-command.ts';

/** The program behind the helper: there, executable, and the same from every folder. */
export const helperProgram: Check = ({ helper, projectDir }) => {
  if (helper?.program === undefined || helper.how === 'unknown') return [];
  const where = `${helper.settings.file}:${helper.line}`;
  const reinstall = helper.ours ? 'write the line anew: broker claude install' : undefined;
  const findings: Finding[] = [];
  if (helper.how === 'relative') {
    findings.push({
      id: 'helper-relative',
      severity: helper.settings.scope === 'user' || helper.settings.scope === 'managed' ? 'error' : 'warning',
      title: 'apiKeyHelper is a relative path',
      cost: `it is looked up in whatever folder claude is started in (now ${projectDir}); elsewhere it fails, or runs something else`,
      remedy: reinstall ?? 'write its absolute path',
      where,
    });
  }
  if (!helper.found) {
    const what = helper.how === 'by name' ? 'is in no folder of PATH' : 'does not exist';
    findings.push({
      id: 'helper-missing',
      severity: 'error',
      title: `the program of apiKeyHelper ${what}: ${describeCommand(helper.command, helper.ours)}`,
      cost: 'the client calls it three times in two or three seconds and gives up',
      remedy: reinstall ?? 'install the program, or remove the line',
      where,
    });
  } else if (!helper.executable) {
    findings.push({
      id: 'helper-not-executable',
      severity: 'error',
      title: `${helper.path} is not executable`,
      cost: 'the shell answers "Permission denied" and the client gives up after three tries',
      remedy: `type: chmod u+x ${helper.path}`,
      where,
    });
  } else if (helper.how === 'by name' && helper.settings.scope !== 'flag') {
    findings.push({
      id: 'helper-on-path',
      severity: 'info',
      title: 'apiKeyHelper is found through PATH',
      cost: 'started from an editor or a service, claude may have another PATH and not find it',
      remedy: reinstall ?? `write its absolute path: ${helper.path}`,
      where,
    });
  }
  return findings;
};
