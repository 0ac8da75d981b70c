import { lstatSync } from 'node:fs';
import { launchFile, stateDir } from '../config/paths.ts';
import { BrokerError } from '../errors.ts';
import { helperPath } from '../platform/native.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { Service } from '../service/service.ts';
import { stableHelper } from '../service/stable-helper.ts';
import type { Change } from './change.ts';
import { type ClientLine, clientLine } from './client-line.ts';
import { type ConfigChange, changeConfig, providerNameFor } from './config-change.ts';
import type { ConfigPlace, Existing } from './config-file.ts';
import {
  DEFAULT_CREDENTIAL,
  type Draft,
  type Folders,
  type Plan,
  presentFor,
  type SettingsScope,
  withEnvironment,
} from './draft.ts';

/** What somebody wants, beside what is there. */
export interface Comparison {
  readonly plan: Plan;
  readonly place: ConfigPlace;
  readonly existing: Existing;
  readonly change: ConfigChange;
  readonly line: ClientLine;
  readonly scope: SettingsScope;
  readonly service: boolean;
  readonly guard: boolean;
  /** Everything that setup would do to what is there; empty: it is all as it should be. */
  readonly changes: readonly Change[];
}

export interface Surrounding {
  readonly io: ProcessIo;
  readonly place: ConfigPlace;
  readonly existing: Existing;
  readonly folders: Folders;
  readonly project: string | undefined;
  readonly force: boolean;
}

/** Reads only. @throws BrokerError ERR_USAGE, ERR_CONFIG for what can never be. */
export async function compare(draft: Draft, around: Surrounding): Promise<Comparison> {
  const { io, place, existing, project, force } = around;
  const plan = planOf(draft, around);
  const change = await changeConfig(existing, plan, place);
  const { scope = 'user', service = true, switchClient = false } = draft;
  const guard = draft.guard === true;
  if (guard) requireGuard(io, scope);
  const { credential } = plan;
  const { defaultCredential, credentials } = change.loaded.config;
  const line = clientLine(io, { credential, defaultCredential, scope, project, force, switchClient });
  const isGuarded = credentials.get(credential)?.allow?.includes('claude-code') === true;
  const where = `credentials.${credential}.allow`;
  const changes = [
    ...change.changes,
    ...(line.change === undefined ? lostHelper(io) : [line.change]),
    ...(await serviceChange(io, service)),
    ...(guard && !isGuarded ? [{ what: 'guard', where, before: null, after: ['claude-code'] } as const] : []),
  ];
  return { plan, place, existing, change, line, scope, service, guard, changes };
}

export function planOf(draft: Draft, { io, existing, folders, place }: Surrounding): Plan {
  const { kind, providerName, options, auth, source, field, makeDefault, checkUrl } = draft;
  if (kind === undefined) throw new TypeError('a draft without a provider');
  // What was found once and written down is not compared with the next shell.
  const isThere = presentFor(draft, existing.root) !== undefined;
  const all = isThere ? options : withEnvironment(kind, options, io.env, folders);
  const credential = draft.credential ?? DEFAULT_CREDENTIAL;
  const rest = { kind, options: all, auth, source, field, credential, makeDefault, checkUrl };
  return { ...rest, providerName: providerName ?? providerNameFor(existing, rest, place) };
}

/** @throws BrokerError ERR_USAGE where it cannot be. */
function requireGuard(io: ProcessIo, scope: SettingsScope): void {
  const obstacle = guardObstacle(io, scope);
  if (obstacle === undefined) return;
  throw new BrokerError('ERR_USAGE', `--guard does not work ${obstacle}`, { remedy: 'leave it out' });
}

export function guardObstacle({ platform }: ProcessIo, scope: SettingsScope): string | undefined {
  return platform === 'linux' ? (scope === 'none' ? 'with --scope none' : undefined) : `on ${platform}`;
}

/** The client's line is there, and nothing to run: the step that starts the daemon puts it back. */
function lostHelper(io: ProcessIo): readonly Change[] {
  const where = stableHelper(stateDir(io));
  const isThere = helperPath() === undefined || lstatSync(where, { throwIfNoEntry: false }) !== undefined;
  return isThere ? [] : [{ what: 'client', where, before: null, after: 'the helper' }];
}

async function serviceChange(io: ProcessIo, isWanted: boolean): Promise<readonly Change[]> {
  const service = new Service(io);
  const recorded = lstatSync(launchFile(stateDir(io)), { throwIfNoEntry: false }) !== undefined;
  if (isWanted ? (await service.state()).installed : recorded) return [];
  const { kind } = service.manager;
  const after = isWanted && kind !== 'none' ? 'installed and started' : 'started by the helper when it needs it';
  return [{ what: 'service', where: isWanted && kind !== 'none' ? kind : 'daemon', before: null, after }];
}
