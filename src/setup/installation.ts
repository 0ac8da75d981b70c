import { lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { enrolClient } from '../claude/install/enrol.ts';
import { connect } from '../client/broker-client.ts';
import { launchFile, ownStateDir, stateDir } from '../config/paths.ts';
import { writtenKey } from '../config/positions.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { exitCodeOf, runProgram } from '../platform/run-program.ts';
import { fingerprint } from '../platform/text.ts';
import { sleep } from '../platform/waiting.ts';
import type { ConfigValue, DaemonStatus } from '../protocol/reports.ts';
import { askStatus, bringUp } from '../service/health.ts';
import { recordLaunch, Service } from '../service/service.ts';
import { stableHelper } from '../service/stable-helper.ts';
import { Unmanaged } from '../service/unmanaged.ts';
import { replaces } from './change.ts';
import type { ClientLine } from './client-line.ts';
import { guardCredential } from './config-change.ts';
import { readExisting, writeConfig } from './config-file.ts';
import type { Plan } from './draft.ts';
import { kindOf } from './kinds.ts';
import type { Step, StepOutcome } from './steps.ts';
import type { Prepared } from './wizard.ts';

/** What came of it, for the report. */
export interface Installed {
  helper: string;
  service: string;
  /** How long the client will wait for the key. */
  helperMs: number | undefined;
}

/** The helper itself gives up after 9.5 s. */
const HELPER_LIMIT_MS = 15_000;

/** What setup does once everything was tried, in order; `installed` is filled on the way. */
export function installationSteps(io: ProcessIo, what: Prepared, installed: Installed): readonly Step[] {
  const { change, existing, place, plan, session, line, changes } = what;
  const steps: Step[] = [];
  if (change.text !== existing.text) {
    steps.push({
      name: 'configuration',
      run: async () => {
        const { undo } = writeConfig(change, existing, place);
        const done = existing.text === undefined ? 'wrote' : change.changes.some(replaces) ? 'changed' : 'extended';
        return { done: `${done} ${place.file}`, undo };
      },
    });
  }
  const isNew = changes.some((each) => each.what === 'service');
  const daemon = () =>
    isNew && what.service
      ? installService(io, installed)
      : isNew
        ? startUnmanaged(io, installed)
        : startAgain(io, installed);
  steps.push({ name: 'daemon', run: daemon }, { name: 'reload', run: () => untilTaken(io, what) });
  const { token } = session;
  if (token !== undefined) steps.push({ name: 'login', run: () => handOver(io, plan, token) });
  if (plan.checkUrl !== undefined) steps.push({ name: 'check', run: () => armCheck(io, plan) });
  if (line.change !== undefined) steps.push({ name: 'settings', run: async () => writeSettings(line) });
  steps.push({ name: 'helper', run: () => tryHelper(io, what, installed) });
  if (changes.some((each) => each.what === 'guard')) steps.push({ name: 'guard', run: () => guard(io, what) });
  return steps;
}

async function handOver(io: ProcessIo, { providerName }: Plan, token: SecretBytes): Promise<StepOutcome> {
  await connect(io).takeLogin(providerName, token);
  return { done: `the daemon has your login to ${providerName}` };
}

/** One key, as Claude Code will have it. */
async function tryHelper(io: ProcessIo, what: Prepared, installed: Installed): Promise<StepOutcome> {
  const { line, trial, plan, change } = what;
  if (change.loaded.config.credentials.get(plan.credential)?.allow !== undefined) {
    // This setup is not the client, and would be refused.
    await connect(io).refresh(plan.credential);
    return { done: 'the daemon has read the key; the helper gets it for the client alone (allow)' };
  }
  const startedMs = io.clock.now();
  const options = { env: io.env, input: '', limitMs: HELPER_LIMIT_MS };
  const ended = await runProgram(['/bin/sh', '-c', line.line], options, io.clock, io.signal);
  installed.helperMs = Math.round(io.clock.now() - startedMs);
  const shown = fingerprint(ended.stdout.toString());
  ended.stdout.fill(0);
  if (exitCodeOf(ended) !== 0) {
    const why = ended.stderr.trim().slice(0, 400) || `${ended.end} ${ended.code}`;
    throw new BrokerError('ERR_NO_FIT_KEY', `the helper prints no key: ${why}`, {
      remedy: 'see: broker status, broker events',
    });
  }
  if (!trial.leased && kindOf(plan.kind).issues !== true && shown !== trial.fingerprint) {
    throw new BrokerError('ERR_NO_FIT_KEY', `the helper prints ${shown}, but ${trial.fingerprint} was read before`, {
      remedy: 'if the key was rotated just now, run broker setup again; else see: broker config show',
    });
  }
  return { done: `/bin/sh -c "${line.line}" prints ${shown} after ${installed.helperMs} ms` };
}

function writeSettings(line: ClientLine): StepOutcome {
  return { done: `wrote apiKeyHelper into ${line.write()}`, undo: () => line.takeBack() };
}

/** A check that says nothing yet is no reason to give up the rest. */
async function armCheck(io: ProcessIo, { credential, checkUrl }: Plan): Promise<StepOutcome> {
  const again = `see: broker check ${credential}`;
  try {
    const { armed, word } = await connect(io).check(credential);
    if (armed) return { done: `${checkUrl} accepts this key and refuses a made-up one` };
    return { done: `${checkUrl} ${word === 'rejected' ? 'rejects this key' : 'does not say yet'}; ${again}` };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { done: `not armed (${error.message}); ${again}` };
  }
}

/** Last: the line that is to be served is on record by now, and this setup has had its own look at the key. */
async function guard(io: ProcessIo, { plan, place }: Prepared): Promise<StepOutcome> {
  const existing = await readExisting(place);
  const { name, change } = await guardCredential(existing, plan.credential, place);
  const client = enrolClient({ stateDir: stateDir(io), uid: io.uid }, undefined, io.env['PATH']);
  const written = change && writeConfig(change, existing, place);
  const missing = client === undefined ? '; no claude was found on PATH: see broker help allow' : '';
  return { done: `[credentials.${name}] has allow = ["claude-code"]${missing}`, undo: () => written?.undo() };
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

/** What is installed stays as it is, and runs. */
async function startAgain(io: ProcessIo, installed: Installed): Promise<StepOutcome> {
  const service = new Service(io);
  installed.helper = recordLaunch(io, process.execPath);
  installed.service = (await service.state()).installed ? service.manager.kind : 'none';
  const running = await askStatus(io);
  if (running !== undefined) return { done: `running already, pid ${running.pid}` };
  const manager = installed.service === 'none' ? new Unmanaged(io, stateDir(io)) : service.manager;
  const { daemon } = await bringUp(io, manager, () => new Service(io, manager).start());
  return { done: `started, pid ${daemon.pid}`, undo: () => manager.stop() };
}

/** The daemon reads the file a moment after it was written. */
async function untilTaken(io: ProcessIo, { plan, change }: Prepared): Promise<StepOutcome> {
  const client = connect(io);
  const giveUpAtMs = io.clock.now() + CONFIG_LIMIT_MS;
  const tables = [`credentials.${writtenKey(plan.credential)}.`, `providers.${writtenKey(plan.providerName)}.`];
  const isOurs = (key: string) => key === 'default' || tables.some((table) => key.startsWith(table));
  const written = (values: readonly ConfigValue[]) =>
    values.filter(({ key, origin }) => origin.kind === 'file' && isOurs(key));
  const wanted = written(await change.loaded.effective());
  for (;;) {
    const { file, values } = await client.config();
    const present = new Map(written(values).map(({ key, value }) => [key, JSON.stringify(value)]));
    const isAll = wanted.every(({ key, value }) => present.get(key) === JSON.stringify(value));
    if (isAll && present.size === wanted.length) return { done: 'the daemon has taken it up' };
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
