import { Command, Option } from 'commander';
import { runChecks } from '../../claude/checks/all.ts';
import type { Finding } from '../../claude/checks/check.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import type { LoginDialogue } from '../../providers/provider.ts';
import type { Flags } from '../../setup/draft.ts';
import { checkSettings, type Installed, installationSteps } from '../../setup/installation.ts';
import { Cancelled } from '../../setup/interview.ts';
import { everyQuestion, PROVIDER_KINDS, VAULT_LOGINS } from '../../setup/questions.ts';
import { carryOut } from '../../setup/steps.ts';
import { Session } from '../../setup/trial.ts';
import { type Prepared, prepare } from '../../setup/wizard.ts';
import { json } from '../output.ts';
import { doctorParts, examine } from './doctor.ts';
import { terminalDialogue } from './login.ts';

/** As a shell reports a program that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;

/** `broker setup`: from nothing to a working helper. Every question is also a flag. */
export function setupCommand(io: ProcessIo): Command {
  const command = new Command('setup')
    .description('from nothing to a working helper: provider, credential, daemon, Claude settings')
    .addOption(new Option('--provider <type>', 'where the key lives').choices(PROVIDER_KINDS.map(({ kind }) => kind)))
    .option('--provider-name <name>', 'its name in the configuration (default: vault, aws or aws-ssm)')
    .addOption(new Option('--auth <method>', 'how to log in to Vault').choices(Object.keys(VAULT_LOGINS)));
  for (const { flag, ask } of everyQuestion()) command.option(`--${flag} <value>`, lowerCase(ask));
  return command
    .option('--field <name>', 'which value of the secret is the key; dots go deeper')
    .option('--credential <name>', 'what the key is called (default: anthropic)')
    .addOption(
      new Option('--scope <scope>', 'whose settings get the apiKeyHelper').choices(['user', 'project-local', 'none']),
    )
    .option('--project <folder>', "the project's folder, for --scope project-local (default: the current one)")
    .option('--guard', 'only for the client itself, not for the commands that its agent runs (`allow`; Linux)')
    .option('--no-service', 'install no service: the helper starts the daemon when it needs one')
    .option('--no-browser', 'show the address of a login page instead of opening it')
    .option('--password-stdin', 'read a password from standard input')
    .option('--passcode-stdin', 'read the code of a second factor from standard input')
    .option('--mfa-method <name>', 'which second factor, where there are several')
    .option('--force', 'replace an apiKeyHelper that this program did not write; a backup is kept')
    .option('--dry-run', 'try everything out, print the configuration, write nothing')
    .option('--yes', 'do not ask whether to go ahead')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nLogin and read are tried before anything is written, and when a step fails those before it are taken back.\n' +
        'An existing configuration is extended, never changed. Without a terminal nothing is ever asked.',
    )
    .action((flags: Flags) => setup(io, flags));
}

interface Progress {
  /** Something may have been written. */
  hasBegun: boolean;
}

async function setup(io: ProcessIo, flags: Flags): Promise<void> {
  const session = new Session();
  const progress: Progress = { hasBegun: false };
  try {
    const prepared = await prepare(io, flags, { session, dialogue: dialogueFor(io, flags) });
    if (flags['dryRun']) dryRun(io, flags, prepared);
    else await goAhead(io, flags, prepared, progress);
  } catch (error) {
    if (!(error instanceof Cancelled) && !io.signal.aborted) throw error;
    io.stderr(`cancelled: ${progress.hasBegun ? 'see above what was taken back' : 'nothing was changed'}\n`);
    io.setExitCode(EXIT_INTERRUPTED);
  } finally {
    session.end();
  }
}

function dialogueFor(io: ProcessIo, flags: Flags): LoginDialogue {
  const { mfaMethod } = flags;
  return terminalDialogue(io, {
    browser: flags['browser'] !== false,
    passwordFromStdin: flags['passwordStdin'] === true,
    passcodeFromStdin: flags['passcodeStdin'] === true,
    mfaMethod: typeof mfaMethod === 'string' ? mfaMethod : undefined,
  });
}

async function goAhead(io: ProcessIo, flags: Flags, prepared: Prepared, progress: Progress): Promise<void> {
  const { plan, place, existing, scope, service, interview, trial } = prepared;
  const what = {
    ...prepared,
    project: typeof flags['project'] === 'string' ? flags['project'] : undefined,
    force: flags['force'] === true,
  };
  const settings = checkSettings(io, what);
  if (interview !== undefined && !flags['yes']) {
    interview.tell('This is going to be done', [
      `${existing.text === undefined ? 'write' : 'extend'} ${place.file}`,
      service ? 'install the daemon as a service and start it' : 'start the daemon; the helper starts it when needed',
      settings === undefined ? 'leave the settings of Claude Code alone' : `write apiKeyHelper into ${settings}`,
      ...(prepared.guard ? [`allow the key to Claude Code only: allow = ["claude-code"]`] : []),
    ]);
    if (!(await interview.yes('Go ahead?'))) throw new Cancelled();
  }
  progress.hasBegun = true;
  const installed: Installed = { helper: '', service: '', settings: undefined };
  const say = (text: string) => io.stderr(`${printable(text)}\n`);
  await carryOut(installationSteps(io, what, installed), io.signal, {
    done: (name, words) => say(`${name}: ${words}`),
    undone: (name) => say(`${name}: taken back`),
    notUndone: (name, why) => say(`${name}: could not be taken back: ${why}`),
  });
  const facts = (await examine(io, doctorParts(io), {})).facts;
  const findings = runChecks(facts).filter(({ severity }) => severity !== 'info');
  if (flags['json']) {
    const report = { ok: true, config: place.file, provider: plan.providerName, credential: plan.credential };
    const { helper, service: manager } = installed;
    const rest = {
      key: trial.fingerprint,
      leased: trial.leased,
      helper,
      service: manager,
      settings: installed.settings ?? null,
    };
    io.stdout(json({ ...report, ...rest, findings }));
  } else io.stdout(closingWords(findings, installed, scope));
}

function closingWords(findings: readonly Finding[], { helper, settings }: Installed, scope: Prepared['scope']): string {
  const lines = findings.flatMap(({ severity, title, remedy }) => [
    `${severity === 'error' ? 'will fail' : 'to look at'}: ${printable(title)}`,
    `    do: ${printable(remedy)}`,
  ]);
  if (scope === 'none') lines.push(`Ready. Let Claude Code run it: "apiKeyHelper": "${helper}"`);
  else lines.push(`Ready: ${settings} lets Claude Code ask the broker.`);
  lines.push(
    findings.length > 0 ? 'See all of it: broker doctor' : 'doctor finds nothing wrong. See the state: broker status',
  );
  return lines.map((line) => `${line}\n`).join('');
}

function dryRun(io: ProcessIo, flags: Flags, { change, plan, trial, place }: Prepared): void {
  const { fingerprint: key, leased } = trial;
  if (flags['json']) {
    io.stdout(json({ ok: true, dryRun: true, config: place.file, text: change.text, key, leased }));
    return;
  }
  io.stderr(
    `${plan.credential}: login and read work, the key is ${key}; nothing was written. ${place.file} would be:\n`,
  );
  io.stdout(change.text);
}

function lowerCase(sentence: string): string {
  return /^[A-Z][a-z]/.test(sentence) && !/^(?:Vault|JWT)/.test(sentence)
    ? sentence[0]?.toLowerCase() + sentence.slice(1)
    : sentence;
}
