import { lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { stateDir } from '../../config/paths.ts';
import { ownStateDir } from '../../daemon/places.ts';
import { BrokerError } from '../../errors.ts';
import type { DaemonStatus } from '../../protocol/status.ts';
import { askStatus, bringUp } from '../../service/health.ts';
import { launchFile } from '../../service/launch-file.ts';
import { recordLaunch, Service } from '../../service/service.ts';
import { stableHelper } from '../../service/stable-helper.ts';
import { Unmanaged } from '../../service/unmanaged.ts';
import type { Plan } from '../../setup/draft.ts';
import type { StepOutcome } from '../../setup/steps.ts';
import type { CliIo } from '../cli-io.ts';
import { connect } from '../connect.ts';
import type { Installed } from './installation.ts';

const CONFIG_LIMIT_MS = 10_000;
const LOOK_EVERY_MS = 50;

export async function installService(io: CliIo, installed: Installed): Promise<StepOutcome> {
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
export async function startUnmanaged(io: CliIo, installed: Installed): Promise<StepOutcome> {
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
export async function untilTaken(io: CliIo, { credential }: Plan): Promise<StepOutcome> {
  const client = connect(io);
  const giveUpAtMs = io.clock.now() + CONFIG_LIMIT_MS;
  for (;;) {
    io.signal.throwIfAborted();
    const { file, values } = await client.config();
    if (values.some(({ key }) => key === `credentials.${quoted(credential)}.provider`))
      return { done: 'the daemon has taken it up' };
    if (io.clock.now() >= giveUpAtMs) {
      throw new BrokerError('ERR_CONFIG', `the daemon that runs does not take up the configuration; it reads ${file}`, {
        remedy:
          'see: broker status; then stop that daemon or set BROKER_CONFIG as it has it, and run broker setup again',
      });
    }
    await new Promise<void>((resolve) => io.clock.after(LOOK_EVERY_MS, resolve));
  }
}

function quoted(name: string): string {
  return /^[\w-]+$/.test(name) ? name : JSON.stringify(name);
}

function keyWords({ persistent, keyEncryptionKey }: DaemonStatus['cache']): string {
  return persistent ? `; what it keeps is encrypted, the key is in ${keyEncryptionKey}` : '';
}

/** Removes the state folder if it was not there before: what is in it then is this setup's, and no daemon runs. */
function stateKeeper(io: CliIo): () => Promise<void> {
  const folder = stateDir(io);
  const isNew = !lstatSync(folder, { throwIfNoEntry: false });
  return async () => {
    if (!isNew) return;
    await emptyKeyring(io, folder);
    rmSync(folder, { recursive: true, force: true });
  };
}

/** A key in the keyring would outlive the folder. That it cannot be removed is no reason to keep the rest. */
async function emptyKeyring(io: CliIo, folder: string): Promise<void> {
  if (!lstatSync(join(ownStateDir(folder), 'cache.db'), { throwIfNoEntry: false })) return;
  const { rotateOffline } = await import('../../daemon/offline-rotation.ts');
  await rotateOffline(io, { discard: false, to: 'file' }).catch(() => undefined);
}
