import { execFile } from 'node:child_process';
import { type InstallRequest, install, uninstall } from '../../claude/installer.ts';
import { fingerprint } from '../../claude/masking.ts';
import { additionsFor, parseTarget } from '../../claude/targets.ts';
import { stateDir } from '../../config/paths.ts';
import type { SecretBytes } from '../../credential/secret-bytes.ts';
import { BrokerError } from '../../errors.ts';
import { type ConfigChange, type ConfigPlace, type Existing, writeConfig } from '../../setup/config-change.ts';
import type { Plan, SettingsScope } from '../../setup/draft.ts';
import type { Session } from '../../setup/session.ts';
import type { Step, StepOutcome } from '../../setup/steps.ts';
import type { Trial } from '../../setup/trial.ts';
import type { CliIo } from '../cli-io.ts';
import { placeOf } from '../commands/claude-place.ts';
import { connect } from '../connect.ts';
import { installService, startUnmanaged, untilTaken } from './daemon-steps.ts';

export interface Installation {
  readonly plan: Plan;
  readonly existing: Existing;
  readonly change: ConfigChange;
  readonly place: ConfigPlace;
  readonly trial: Trial;
  readonly session: Session;
  readonly scope: SettingsScope;
  readonly service: boolean;
  readonly project: string | undefined;
  /** Replace an apiKeyHelper of somebody else's. */
  readonly force: boolean;
}

/** What came of it, for the report. */
export interface Installed {
  helper: string;
  service: string;
  settings: string | undefined;
}

/** The helper itself gives up after 9.5 s. */
const HELPER_LIMIT_MS = 15_000;

/** What setup does once everything was tried, in order; `installed` is filled on the way. */
export function installationSteps(io: CliIo, what: Installation, installed: Installed): readonly Step[] {
  const steps: Step[] = [
    {
      name: 'configuration',
      run: async () => {
        const { undo } = writeConfig(what.change, what.existing, what.place);
        return { done: `${what.existing.text === undefined ? 'wrote' : 'extended'} ${what.place.file}`, undo };
      },
    },
    { name: 'daemon', run: () => (what.service ? installService(io, installed) : startUnmanaged(io, installed)) },
    { name: 'reload', run: async () => untilTaken(io, what.plan) },
  ];
  const { token } = what.session;
  if (token !== undefined) steps.push({ name: 'login', run: () => handOver(io, what.plan, token) });
  steps.push({ name: 'helper', run: () => tryHelper(io, what, installed.helper) });
  if (what.scope !== 'none') steps.push({ name: 'settings', run: async () => writeSettings(io, what, installed) });
  return steps;
}

/** @throws BrokerError if the settings cannot be written, before anything is. */
export function checkSettings(
  io: CliIo,
  what: Omit<Installation, 'change' | 'existing' | 'trial' | 'session'>,
): string | undefined {
  if (what.scope === 'none') return undefined;
  const { context, request } = settingsRequest(io, what, '/broker-key');
  return install(context, { ...request, dryRun: true }).file;
}

async function handOver(io: CliIo, { providerName }: Plan, token: SecretBytes): Promise<StepOutcome> {
  await connect(io).takeLogin(providerName, token);
  return { done: `the daemon has your login to ${providerName}` };
}

/** As Claude Code will run it. */
async function tryHelper(io: CliIo, { plan, trial }: Installation, helper: string): Promise<StepOutcome> {
  const startedMs = io.clock.now();
  const { code, stdout, stderr } = await run(helper, [plan.credential], io);
  if (code !== 0) {
    throw new BrokerError('ERR_NO_FIT_KEY', `the helper prints no key: ${stderr.trim().slice(0, 400)}`, {
      remedy: 'see: broker status, broker events',
    });
  }
  const shown = fingerprint(stdout);
  if (!trial.leased && shown !== trial.fingerprint) {
    throw new BrokerError('ERR_NO_FIT_KEY', `the helper prints ${shown}, but ${trial.fingerprint} was read before`, {
      remedy: 'if the key was rotated just now, run broker setup again; else see: broker config show',
    });
  }
  return { done: `broker-key prints ${shown} after ${Math.round(io.clock.now() - startedMs)} ms` };
}

function run(program: string, args: readonly string[], { env, signal }: CliIo) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const options = { env: { ...env }, encoding: 'utf8', timeout: HELPER_LIMIT_MS, signal } as const;
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 127;
      resolve({ code, stdout, stderr: stderr || (error?.message ?? '') });
    });
    child.stdin?.end();
  });
}

function writeSettings(io: CliIo, what: Installation, installed: Installed): StepOutcome {
  const { context, request } = settingsRequest(io, what, installed.helper, what.change);
  const { file } = install(context, request);
  installed.settings = file;
  const undo = () => void uninstall(context, { file, target: request.target, force: false, dryRun: false });
  return { done: `wrote apiKeyHelper into ${file}`, undo };
}

function settingsRequest(
  io: CliIo,
  { plan, scope, project, force }: Omit<Installation, 'change' | 'existing' | 'trial' | 'session'>,
  helper: string,
  change?: ConfigChange,
) {
  const target = parseTarget(undefined);
  const isDefault = change?.loaded.config.defaultCredential === plan.credential;
  const additions = additionsFor(target, {
    helper,
    credential: isDefault ? undefined : plan.credential,
    ttlMs: undefined,
  });
  const options = { scope: scope === 'none' ? 'user' : scope, ...(project === undefined ? {} : { project }) } as const;
  const place = placeOf(io, options, target);
  const request: InstallRequest = { ...place, target: target.name, additions, force, dryRun: false };
  return { context: { stateDir: stateDir(io), uid: io.uid, now: io.clock.wall() }, request };
}
