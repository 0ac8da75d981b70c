import { Command, Option } from 'commander';
import { runChecks } from '../../claude/checks/all.ts';
import type { Finding } from '../../claude/checks/check.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import type { LoginDialogue } from '../../providers/provider.ts';
import { describeChange } from '../../setup/change.ts';
import type { ClientLine } from '../../setup/client-line.ts';
import type { Comparison } from '../../setup/comparison.ts';
import type { Flags } from '../../setup/draft.ts';
import { type Installed, installationSteps } from '../../setup/installation.ts';
import { Cancelled } from '../../setup/interview.ts';
import { everyQuestion, PROVIDER_KINDS } from '../../setup/kinds.ts';
import { OAUTH2_GRANTS } from '../../setup/questions.ts';
import { carryOut } from '../../setup/steps.ts';
import { Session } from '../../setup/trial.ts';
import { VAULT_LOGINS } from '../../setup/vault-questions.ts';
import { compareOnly, type Prepared, prepare } from '../../setup/wizard.ts';
import { json } from '../output.ts';
import { doctorParts, examine } from './doctor.ts';
import { terminalDialogue } from './login.ts';

/** As a shell reports a program that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;
/** As diff(1) tells a difference from a failure. */
const EXIT_DIFFERS = 1;

/** `broker setup`: from nothing to a working helper. Every question is also a flag. */
export function setupCommand(io: ProcessIo): Command {
  const command = new Command('setup')
    .description('from nothing to a working helper: provider, credential, daemon, Claude settings')
    .addOption(new Option('--provider <type>', 'where the key lives').choices(PROVIDER_KINDS.map(({ kind }) => kind)))
    .option('--provider-name <name>', 'its name in the configuration (default: vault, aws, …)')
    .addOption(new Option('--auth <method>', 'how to log in to Vault').choices(Object.keys(VAULT_LOGINS)))
    .addOption(new Option('--grant <way>', 'who gets the tokens of oauth2').choices(Object.keys(OAUTH2_GRANTS)));
  for (const { flag, ask } of everyQuestion()) command.option(`--${flag} <value>`, lowerCase(ask));
  return command
    .option('--field <name>', 'which value of the secret is the key; dots go deeper')
    .option('--credential <name>', 'what the key is called (default: anthropic)')
    .option('--default', 'serve it where no name is given, although another is served today')
    .option('--check-url <url>', 'let the API at this address say whether the key is good (broker check)')
    .addOption(
      new Option('--scope <scope>', 'whose settings get the apiKeyHelper').choices(['user', 'project-local', 'none']),
    )
    .option('--project <folder>', "the project's folder, for --scope project-local (default: the current one)")
    .option(
      '--switch-client',
      'let the client ask for this credential, although it asks for another of the broker today',
    )
    .option('--guard', 'only for the client itself, not for the commands that its agent runs (`allow`; Linux)')
    .option('--no-service', 'install no service: the helper starts the daemon when it needs one')
    .option('--no-browser', 'show the address of a login page instead of opening it')
    .option('--password-stdin', 'read a password from standard input')
    .option('--passcode-stdin', 'read the code of a second factor from standard input')
    .option('--key-stdin', 'read the key from standard input and store it, for a keyring that has none yet')
    .option('--mfa-method <name>', 'which second factor, where there are several')
    .option('--force', 'replace an apiKeyHelper that this program did not write; a backup is kept')
    .option('--check', 'say what differs from what is there, write nothing: exit code 1 if anything does, else 0')
    .option('--dry-run', 'try everything out, print the configuration, write nothing')
    .option('--yes', 'do not ask whether to go ahead; without a terminal: replace what is there')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nLogin and read are tried before anything is written, and when a step fails those before it are taken back.\n' +
        'Run again with the same words it changes nothing. With other words it says what would change, and does it with\n' +
        '--yes or when asked at a terminal; without either the exit code is 64. Comments and order of the file stay.',
    )
    .action((flags: Flags) => setup(io, flags));
}

interface Progress {
  /** Something may have been written. */
  hasBegun: boolean;
}

async function setup(io: ProcessIo, flags: Flags): Promise<void> {
  if (flags['check']) {
    const found = await compareOnly(io, flags);
    if (found.changes.length > 0) io.setExitCode(EXIT_DIFFERS);
    reportComparison(io, flags, found);
    return;
  }
  const session = new Session();
  const progress: Progress = { hasBegun: false };
  try {
    const prepared = await prepare(io, flags, { session, dialogue: dialogueFor(io, flags) });
    if (!('trial' in prepared)) reportComparison(io, flags, prepared);
    else if (flags['dryRun']) dryRun(io, flags, prepared);
    else await goAhead(io, flags, prepared, progress);
  } catch (error) {
    if (!(error instanceof Cancelled) && !io.signal.aborted) throw error;
    io.stderr(`cancelled: ${progress.hasBegun ? 'see above what was taken back' : 'nothing was changed'}\n`);
    io.setExitCode(EXIT_INTERRUPTED);
  } finally {
    await session.close();
  }
}

/** @throws BrokerError ERR_USAGE if something would be replaced, and it was not only to be looked at. */
function reportComparison(io: ProcessIo, flags: Flags, found: Comparison): void {
  const { place, plan, changes, line } = found;
  const about = { config: place.file, provider: plan.providerName, credential: plan.credential };
  if (flags['json']) io.stdout(json({ ok: changes.length === 0, changed: false, ...about, changes }));
  else {
    for (const change of changes) io.stdout(`${printable(describeChange(change))}\n`);
    if (changes.length === 0)
      io.stdout(`nothing to change: "${plan.credential}" is set up as asked, in ${place.file}\n`);
    if (line.asksFor !== undefined) io.stdout(`${lineLeft(line, plan.credential)}\n`);
  }
  if (changes.length === 0 || flags['check']) return;
  const message = `the credential "${plan.credential}" is set up already, and what is there would change`;
  const remedy = 'nothing was changed; to do it, add --yes; to set up another beside it, name it with --credential';
  throw new BrokerError('ERR_USAGE', message, { remedy });
}

function lineLeft({ file, asksFor }: ClientLine, credential: string): string {
  return `${file} goes on asking for "${asksFor}"; with --switch-client it asks for "${credential}"`;
}

function dialogueFor(io: ProcessIo, flags: Flags): LoginDialogue {
  const { mfaMethod } = flags;
  return terminalDialogue(io, {
    browser: flags['browser'] !== false,
    passwordFromStdin: flags['passwordStdin'] === true || flags['keyStdin'] === true,
    passcodeFromStdin: flags['passcodeStdin'] === true,
    mfaMethod: typeof mfaMethod === 'string' ? mfaMethod : undefined,
    command: 'broker setup …',
  });
}

async function goAhead(io: ProcessIo, flags: Flags, prepared: Prepared, progress: Progress): Promise<void> {
  const { plan, place, scope, trial, line, changes, session } = prepared;
  if (line.change !== undefined) line.check();
  progress.hasBegun = true;
  const installed: Installed = { helper: '', service: '', helperMs: undefined };
  const say = (text: string) => io.stderr(`${printable(text)}\n`);
  await carryOut(installationSteps(io, prepared, installed), io.signal, {
    done: (name, words) => say(`${name}: ${words}`),
    undone: (name) => say(`${name}: taken back`),
    notUndone: (name, why) => say(`${name}: could not be taken back: ${why}`),
  });
  session.succeeded();
  const facts = (await examine(io, doctorParts(io), {})).facts;
  // Who wants the client's settings left alone is not told to set it up.
  const isAsked = ({ remedy }: Finding) => scope !== 'none' || !remedy.includes('broker setup');
  const findings = runChecks(facts).filter((finding) => finding.severity !== 'info' && isAsked(finding));
  if (flags['json']) {
    const report = { ok: true, config: place.file, provider: plan.providerName, credential: plan.credential };
    const { helper, service: manager, helperMs } = installed;
    const rest = {
      key: trial.fingerprint,
      leased: trial.leased,
      helper,
      helperMs: helperMs ?? null,
      service: manager,
      settings: line.file ?? null,
      changed: changes.length > 0,
      changes,
    };
    io.stdout(json({ ...report, ...rest, findings }));
  } else io.stdout(closingWords(findings, prepared, scope, installed.helperMs));
}

function closingWords(
  findings: readonly Finding[],
  { line, plan, trial }: Prepared,
  scope: Prepared['scope'],
  helperMs: number | undefined,
): string {
  const lines = findings.flatMap(({ severity, title, remedy }) => [
    `${severity === 'error' ? 'will fail' : 'to look at'}: ${printable(title)}`,
    `    do: ${printable(remedy)}`,
  ]);
  if (scope === 'none') lines.push(`Ready. Let Claude Code run it: "apiKeyHelper": ${JSON.stringify(line.line)}`);
  else if (line.asksFor !== undefined) lines.push(`Ready: ${line.line}`, lineLeft(line, plan.credential));
  else lines.push(`Ready: ${line.file} lets Claude Code ask the broker.`);
  if (helperMs !== undefined) {
    lines.push(`One key through the helper, as the client runs it: ${trial.fingerprint}, after ${helperMs} ms.`);
  }
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
