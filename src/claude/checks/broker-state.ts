import type { Check, Finding } from '../finding.ts';

/** What the daemon itself knows to be wrong with what the helper asks for. */
export const brokerState: Check = ({ broker, helper, run }) => {
  if (helper === undefined || !helper.ours || !broker.asked) return [];
  const { status } = broker;
  if (status === undefined) {
    // The helper starts a daemon where it may, so that a key in hand is proof enough.
    if (run?.outcome === 'ended' && run.exitCode === 0) return [];
    return [
      {
        id: 'broker-unreachable',
        severity: 'error',
        title: 'no broker answers',
        cost: 'the helper fails, and the client with it',
        remedy: 'start it: broker service start (or broker service install)',
      },
    ];
  }
  const findings: Finding[] = [];
  const wanted = helper.credential;
  const credential = status.credentials.find(({ name, isDefault }) =>
    wanted === undefined ? isDefault : name === wanted,
  );
  const where = `${helper.settings.file}:${helper.line}`;
  if (credential === undefined) {
    findings.push({
      id: 'credential-unknown',
      severity: 'error',
      title: wanted === undefined ? 'the broker has no default credential' : `the broker has no credential "${wanted}"`,
      cost: 'the helper fails at every call',
      remedy: `name one of: ${status.credentials.map(({ name }) => name).join(', ') || '(none yet: broker setup)'}`,
      where,
    });
  } else if (credential.state === 'failing' || credential.state === 'stale') {
    const { lastError } = credential;
    findings.push({
      id: credential.state === 'failing' ? 'credential-failing' : 'credential-stale',
      severity: credential.state === 'failing' ? 'error' : 'warning',
      title: `credential "${credential.name}" is ${credential.state}${lastError ? `: ${lastError.message}` : ''}`,
      cost:
        credential.state === 'failing'
          ? 'there is no key to serve'
          : 'an older key is served while the provider cannot be asked',
      remedy: lastError?.remedy ?? `see: broker status, then broker refresh ${credential.name}`,
    });
  }
  for (const advice of credential?.advice ?? []) {
    // The clock has a check of its own.
    if (advice.includes('clock')) continue;
    const at = advice.indexOf(': ');
    findings.push({
      id: 'broker-advice',
      severity: 'warning',
      title:
        at === -1
          ? `the broker has advice about "${credential?.name}"`
          : `"${credential?.name}": ${advice.slice(0, at)}`,
      cost: 'a request now and then carries a key that is over, and has to be repeated',
      remedy: at === -1 ? advice : advice.slice(at + 2),
    });
  }
  if (status.daemon.configProblem !== null) {
    findings.push({
      id: 'broker-config',
      severity: 'warning',
      title: `the broker could not take over its configuration: ${status.daemon.configProblem}`,
      cost: 'it goes on with the configuration from before, and starts with none after a restart',
      remedy: 'see: broker config validate',
      where: status.daemon.configFile,
    });
  }
  if (status.daemon.cache.problem !== null) {
    findings.push({
      id: 'broker-cache',
      severity: 'warning',
      title: `the broker's cache: ${status.daemon.cache.problem}`,
      cost: 'keys do not survive a restart of the daemon',
      remedy: status.daemon.cache.remedy ?? 'see: broker status',
    });
  }
  return findings;
};
