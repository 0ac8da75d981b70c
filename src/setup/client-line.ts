import path from 'node:path';
import { install, uninstall } from '../claude/install/installer.ts';
import { additionsFor, parseTarget, placeOf } from '../claude/install/targets.ts';
import { parseSettings, valueAt } from '../claude/settings/document.ts';
import { followLinks, readIfThere } from '../claude/settings/replace-file.ts';
import {
  credentialOf,
  describeCommand,
  formatOf,
  parseHelperCommand,
  runsBrokerHelper,
} from '../claude/shell/helper-command.ts';
import { stateDir } from '../config/paths.ts';
import { isExecutable } from '../platform/files.ts';
import { helperPath, PACKAGE_ROOT } from '../platform/native.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { stableHelper } from '../service/stable-helper.ts';
import type { Change } from './change.ts';
import type { SettingsScope } from './draft.ts';

interface LineWish {
  readonly credential: string;
  /** What a line without a name asks for, once everything is done. */
  readonly defaultCredential: string | undefined;
  readonly scope: SettingsScope;
  readonly project: string | undefined;
  /** Replace an apiKeyHelper that this program did not write. */
  readonly force: boolean;
  /** Replace one of ours that asks for another credential. */
  readonly switchClient: boolean;
}

/** The line that makes the client ask for the key, and the file that it is to be in. */
export interface ClientLine {
  /** For /bin/sh -c, as the client runs it. */
  readonly line: string;
  /** undefined: it is there, or it is not to be written. */
  readonly change: Change | undefined;
  readonly file: string | undefined;
  /** The credential that our line in the file asks for instead; it is left alone. */
  readonly asksFor: string | undefined;
  /** @throws BrokerError if the settings cannot be written, or are somebody else's: before anything is. */
  check(): void;
  /** @returns the file. */
  write(): string;
  /** As it was before `write`. */
  takeBack(): void;
}

/** Reads the settings, and writes nothing. */
export function clientLine(io: ProcessIo, wish: LineWish): ClientLine {
  const { credential, defaultCredential, scope, project, force, switchClient } = wish;
  const target = parseTarget(undefined);
  const helper = helperPath() === undefined ? path.join(PACKAGE_ROOT, 'bin', 'broker-key') : stableHelper(stateDir(io));
  const named = credential === defaultCredential ? undefined : credential;
  const additions = additionsFor(target, { helper, credential: named, ttlMs: undefined });
  const options = { scope: scope === 'none' ? 'user' : scope, ...(project === undefined ? {} : { project }) } as const;
  const request = { ...placeOf(io, options, target), target: target.name, additions, force, dryRun: false };
  const context = { stateDir: stateDir(io), uid: io.uid, now: io.clock.wall() };
  const [first] = additions;
  const line = first !== undefined && 'value' in first ? first.value : helper;
  const file = followLinks(request.file);
  const present = scope === 'none' ? undefined : helperIn(file);
  const isOurs = present !== undefined && runsBrokerHelper(present);
  const common = {
    line,
    check: () => void install(context, { ...request, dryRun: true }),
    write: () => install(context, request).file,
    takeBack: () => {
      if (isOurs) install(context, { ...request, additions: [{ path: ['apiKeyHelper'], value: present }] });
      else uninstall(context, { file, target: target.name, force: false, dryRun: false });
    },
  };
  if (scope === 'none') return { ...common, change: undefined, file: undefined, asksFor: undefined };
  const asked = isOurs ? (credentialOf(present) ?? defaultCredential) : undefined;
  const program = present === undefined ? '' : (parseHelperCommand(present).words[0] ?? '');
  const works = isOurs && formatOf(present) === undefined && (!path.isAbsolute(program) || isExecutable(program));
  const isOther = isOurs && asked !== credential;
  const isLeft = isOther && !switchClient;
  const before = present === undefined ? null : describeCommand(present);
  const change: Change = { what: 'client', where: `${file}: apiKeyHelper`, before, after: line };
  const isThere = present !== undefined && (present === line || (works && !isOther));
  return {
    ...common,
    // Another spelling of it that works stays, and is what the client runs.
    line: isThere ? present : line,
    file,
    change: isThere || isLeft ? undefined : change,
    asksFor: isLeft ? asked : undefined,
  };
}

function helperIn(file: string): string | undefined {
  const bytes = readIfThere(file);
  const helper = bytes === undefined ? undefined : valueAt(parseSettings(bytes, file).root, ['apiKeyHelper']);
  return typeof helper === 'string' ? helper : undefined;
}
