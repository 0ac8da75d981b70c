import type { HelperFacts } from '../doctor/gather.ts';
import type { Check, Finding } from '../doctor/report.ts';
import { describeCommand } from '../install/targets.ts';
import { effectiveVariable } from '../settings/effective.ts';
import { shellStatements } from '../shell/tokenizer.ts';

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

/** A helper that is not the broker's: other tools write one without asking. */
export const foreignHelper: Check = ({ helper }) => {
  if (helper === undefined || helper.ours) return [];
  return [
    {
      id: 'foreign-helper',
      severity: 'info',
      title: `apiKeyHelper runs ${describeCommand(helper.command, false)}, which is not the broker's`,
      cost: 'keys come from there; tools have written such a line unasked (anthropics/claude-code issue 90236)',
      remedy: 'if you want the broker to answer: broker claude install --force',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};

const PLACEHOLDERS =
  /your[-_ ]?(anthropic[-_ ]?)?(api[-_ ]?)?key|\/path\/to\/|change[-_ ]?me|placeholder|<[a-z][a-z_ -]*>|\bx{4,}\b|sk-ant-(\.\.\.|…|x{3,})/i;

/** A line copied from an example. */
export const placeholderHelper: Check = ({ helper }) => {
  if (helper === undefined || helper.ours || !PLACEHOLDERS.test(helper.command)) return [];
  return [
    {
      id: 'placeholder-helper',
      severity: 'error',
      title: 'apiKeyHelper is an example that nobody filled in',
      cost: '"Invalid API key", although everything else is right: a helper beats a login',
      remedy: 'remove the line, or replace it: broker claude install --force',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};

/** Programs that open a window, ask for a password or wait for a touch when their session is over. */
const ASKERS = new Set([
  'op',
  'bw',
  'lpass',
  'pass',
  'gopass',
  'gpg',
  'sudo',
  'pkexec',
  'kinit',
  'aws-vault',
  'osascript',
  'zenity',
  'kdialog',
]);

/** The client runs the helper every few minutes, behind requests and with nobody at a prompt. */
export const helperPrompts: Check = ({ helper }) => {
  const asker = helper === undefined || helper.ours ? undefined : programsOf(helper).find((name) => ASKERS.has(name));
  if (helper === undefined || asker === undefined) return [];
  return [
    {
      id: 'helper-may-prompt',
      severity: 'info',
      title: `apiKeyHelper runs ${asker}, which may ask a person`,
      cost: 'it asks again every five minutes and at every start, and requests wait for the answer (anthropics/claude-code issue 11639)',
      remedy: 'let the broker ask once and keep the key: a provider of type exec runs the same command',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};

/** The first word of every command, in the setting and in the script that it names; also behind a pipe and in `$(…)`. */
function programsOf({ command, script }: HelperFacts): string[] {
  const statements = shellStatements(`${command}\n${script ?? ''}`);
  const firsts = statements.map(({ words }) => words.find(({ text }) => !/^[A-Za-z_]\w*=/.test(text))?.text ?? '');
  const inner = [...`${command}\n${script ?? ''}`.matchAll(/\$\(\s*([\w./-]+)/g)].map(([, word]) => word ?? '');
  return [...firsts, ...inner].map((word) => word.slice(word.lastIndexOf('/') + 1));
}

/** Two daemons: helper and CLI may talk to different ones. */
export const secondBroker: Check = ({ broker, input }) => {
  const findings: Finding[] = [];
  if (broker.sockets.length > 1) {
    findings.push({
      id: 'second-broker',
      severity: 'warning',
      title: `more than one broker answers: ${broker.sockets.join(', ')}`,
      cost: 'each has its own keys and its own idea of which are dead; which one a helper asks depends on its environment',
      remedy: 'stop the one you do not want: broker service stop, or end its process',
    });
  }
  const socket = effectiveVariable(input, 'BROKER_SOCKET');
  const used = broker.status?.daemon.socket;
  if (socket?.place.kind === 'settings' && used !== undefined && socket.value !== used) {
    findings.push({
      id: 'second-socket',
      severity: 'warning',
      title: `the settings send the helper to ${socket.value}, and this shell uses ${used}`,
      cost: 'what broker status says is not what the client gets',
      remedy: `remove env.BROKER_SOCKET from ${socket.place.file}`,
      where: `${socket.place.file}:${socket.place.line}`,
    });
  }
  return findings;
};

/** A helper that came with the repository. */
export const untrustedProject: Check = ({ helper, input }) => {
  if (helper === undefined || (helper.settings.scope !== 'project' && helper.settings.scope !== 'local')) return [];
  if (input.trusted === true) return [];
  return [
    {
      id: 'helper-untrusted-project',
      severity: 'warning',
      title: 'apiKeyHelper comes from the settings of this project, whose folder is not trusted',
      cost: "the terminal does not run it before you trust the folder, but claude -p runs it at once: it is somebody else's code with your environment",
      remedy: 'read the helper, then start claude here once and trust the folder, or remove the line',
      where: `${helper.settings.file}:${helper.line}`,
    },
  ];
};

/** The agent's own shell can run the helper just as the client does. */
export const agentAccess: Check = ({ helper, input }) => {
  if (helper === undefined || !helper.ours) return [];
  const denied = input.settings.filter(({ state }) => state === 'in-effect').flatMap((settings) => settings.denied);
  if (denied.some((rule) => rule.startsWith('Bash(broker-key'))) return [];
  return [
    {
      id: 'agent-can-read-key',
      severity: 'info',
      title: 'the agent may run the helper itself',
      cost: 'a prompt injection can make it print the key into the conversation',
      remedy: 'add deny rules: broker claude install --deny-rules',
    },
  ];
};
