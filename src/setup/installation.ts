import { lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { enrolClient } from '../claude/install/enrol.ts';
import { type InstallRequest, install, uninstall } from '../claude/install/installer.ts';
import { additionsFor, parseTarget, placeOf } from '../claude/install/targets.ts';
import { connect } from '../client/broker-client.ts';
import { launchFile, ownStateDir, stateDir } from '../config/paths.ts';
import { writtenKey } from '../config/positions.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { exitCodeOf, runProgram } from '../platform/run-program.ts';
import { fingerprint } from '../platform/text.ts';
import { sleep } from '../platform/waiting.ts';
import type { DaemonStatus } from '../protocol/reports.ts';
import { askStatus, bringUp } from '../service/health.ts';
import { recordLaunch, Service } from '../service/service.ts';
import { stableHelper } from '../service/stable-helper.ts';
import { Unmanaged } from '../service/unmanaged.ts';
import { type ConfigChange, guardCredential, readExisting, writeConfig } from './config-change.ts';
import type { Plan } from './draft.ts';
import type { Step, StepOutcome } from './steps.ts';
import type { Prepared } from './wizard.ts';

interface Installation extends Omit<Prepared, 'interview'> {
  readonly project: string | undefined;
  /** Replace an apiKeyHelper that this program did not write. */
  readonly force: boolean;
}

/** As much of it as decides what is written into which settings. */
type SettingsWish = Pick<Installation, 'plan' | 'scope' | 'project' | 'force'>;

/** What came of it, for the report. */
export interface Installed {
  helper: string;
  service: string;
  settings: string | undefined;
}

/** The helper itself gives up after 9.5 s. */
const HELPER_LIMIT_MS = 15_000;

/** What setup does once everything was tried, in order; `installed` is filled on the way. */
export function installationSteps(io: ProcessIo, what: Installation, installed: Installed): readonly Step[] {
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
  if (what.guard) steps.push({ name: 'guard', run: () => guard(io, what) });
  return steps;
}

/** @throws BrokerError if the settings cannot be written, before anything is. */
export function checkSettings(io: ProcessIo, what: SettingsWish): string | undefined {
  if (what.scope === 'none') return undefined;
  const { context, request } = settingsRequest(io, what, '/broker-key');
  return install(context, { ...request, dryRun: true }).file;
}

async function handOver(io: ProcessIo, { providerName }: Plan, token: SecretBytes): Promise<StepOutcome> {
  await connect(io).takeLogin(providerName, token);
  return { done: `the daemon has your login to ${providerName}` };
}

/** As Claude Code will run it. */
async function tryHelper(io: ProcessIo, { plan, trial }: Installation, helper: string): Promise<StepOutcome> {
  const startedMs = io.clock.now();
  const options = { env: io.env, input: '', limitMs: HELPER_LIMIT_MS };
  const ended = await runProgram([helper, plan.credential], options, io.clock, io.signal);
  const shown = fingerprint(ended.stdout.toString());
  ended.stdout.fill(0);
  if (exitCodeOf(ended) !== 0) {
    const why = ended.stderr.trim().slice(0, 400) || `${ended.end} ${ended.code}`;
    throw new BrokerError('ERR_NO_FIT_KEY', `the helper prints no key: ${why}`, {
      remedy: 'see: broker status, broker events',
    });
  }
  if (!trial.leased && shown !== trial.fingerprint) {
    throw new BrokerError('ERR_NO_FIT_KEY', `the helper prints ${shown}, but ${trial.fingerprint} was read before`, {
      remedy: 'if the key was rotated just now, run broker setup again; else see: broker config show',
    });
  }
  return { done: `broker-key prints ${shown} after ${Math.round(io.clock.now() - startedMs)} ms` };
}

function writeSettings(io: ProcessIo, what: Installation, installed: Installed): StepOutcome {
  const { context, request } = settingsRequest(io, what, installed.helper, what.change);
  const { file } = install(context, request);
  installed.settings = file;
  const undo = () => void uninstall(context, { file, target: request.target, force: false, dryRun: false });
  return { done: `wrote apiKeyHelper into ${file}`, undo };
}

/** Last: the line that is to be served is on record by now, and this setup has had its own look at the key. */
async function guard(io: ProcessIo, { plan, place }: Installation): Promise<StepOutcome> {
  const existing = await readExisting(place);
  const { name, change } = await guardCredential(existing, plan.credential, place);
  const client = enrolClient({ stateDir: stateDir(io), uid: io.uid }, undefined, io.env['PATH']);
  const written = change && writeConfig(change, existing, place);
  const missing = client === undefined ? '; no claude was found on PATH: see broker help allow' : '';
  return { done: `[credentials.${name}] has allow = ["claude-code"]${missing}`, undo: () => written?.undo() };
}

function settingsRequest(
  io: ProcessIo,
  { plan, scope, project, force }: SettingsWish,
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

const CONFIG_LIMIT_MS = 10_000;
const LOOK_EVERY_MS = 50;

async function installService(io: ProcessIo, installed: Installed): Promise<StepOutcome> {
  const removeNewState = stateKeeper(io);
  const service = new Service(io);
  const before = await service.state();
  const options = { execPath: process.execPath, copyRuntime: false, autostart: true, sandbox: undefined };
  const undo = async () => {
    if (!before.installed) await service.uninstall();
    await removeNewState();
  };
  try {
    const { done, daemon } = await bringUp(io, service.manager, () => service.install(options));
    const { helper, manager } = done;
    installed.helper = helper;
    installed.service = manager;
    const what = manager === 'none' ? 'the helper starts it when it needs it' : `installed as a ${manager} service`;
    return { done: `${what}; running, pid ${daemon.pid}${keyWords(daemon.cache)}`, undo };
  } catch (error) {
    await undo();
    throw error;
  }
}

/** No service: how the helper starts the daemon is recorded, and it is started now. */
async function startUnmanaged(io: ProcessIo, installed: Installed): Promise<StepOutcome> {
  const removeNewState = stateKeeper(io);
  const folder = stateDir(io);
  const made = [launchFile(folder), stableHelper(folder)].filter((file) => !lstatSync(file, { throwIfNoEntry: false }));
  const running = await askStatus(io);
  const manager = new Unmanaged(io, folder);
  const undo = async () => {
    if (running === undefined) await manager.stop();
    for (const file of made) rmSync(file, { force: true });
    await removeNewState();
  };
  try {
    installed.helper = recordLaunch(io, process.execPath);
    installed.service = 'none';
    if (running !== undefined) return { done: `running already, pid ${running.pid}`, undo };
    const { daemon } = await bringUp(io, manager, () => new Service(io, manager).start());
    return {
      done: `started, pid ${daemon.pid}; the helper starts it again when it needs it${keyWords(daemon.cache)}`,
      undo,
    };
  } catch (error) {
    await undo();
    throw error;
  }
}

/** The daemon reads the file a moment after it was written. */
async function untilTaken(io: ProcessIo, { credential }: Plan): Promise<StepOutcome> {
  const client = connect(io);
  const giveUpAtMs = io.clock.now() + CONFIG_LIMIT_MS;
  for (;;) {
    const { file, values } = await client.config();
    if (values.some(({ key }) => key === `credentials.${writtenKey(credential)}.provider`))
      return { done: 'the daemon has taken it up' };
    if (io.clock.now() >= giveUpAtMs) {
      throw new BrokerError('ERR_CONFIG', `the daemon that runs does not take up the configuration; it reads ${file}`, {
        remedy:
          'see: broker status; then stop that daemon or set BROKER_CONFIG as it has it, and run broker setup again',
      });
    }
    await sleep(LOOK_EVERY_MS, io.clock, io.signal);
  }
}

function keyWords({ persistent, keyEncryptionKey }: DaemonStatus['cache']): string {
  return persistent ? `; what it keeps is encrypted, the key is in ${keyEncryptionKey}` : '';
}

/** Removes the state folder if it was not there before: what is in it then is this setup's, and no daemon runs. */
function stateKeeper(io: ProcessIo): () => Promise<void> {
  const folder = stateDir(io);
  const isNew = !lstatSync(folder, { throwIfNoEntry: false });
  return async () => {
    if (!isNew) return;
    await emptyKeyring(io, folder);
    rmSync(folder, { recursive: true, force: true });
  };
}

/** A key in the keyring would outlive the folder. If it cannot be removed, the rest goes all the same. */
async function emptyKeyring(io: ProcessIo, folder: string): Promise<void> {
  if (!lstatSync(join(ownStateDir(folder), 'cache.db'), { throwIfNoEntry: false })) return;
  const { rotateOffline } = await import('../daemon/offline-rotation.ts');
  await rotateOffline(io, { discard: false, to: 'file' }).catch(() => undefined);
}
