import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { changeFile, type InstallerContext, type InstallOutcome } from '../claude/install/installer.ts';
import { planInstall, planUninstall } from '../claude/install/plan.ts';
import { CLAUDE_RECORDS } from '../claude/install/undo.ts';
import { BrokerError, shellWord } from '../errors.ts';
import { readTextQuietly, writeFileAtomically } from '../platform/files.ts';
import { ensurePrivateFolder } from '../platform/place-rules.ts';

/**
 * Claude Desktop in third-party mode, as far as https://claude.com/docs/third-party/claude-desktop/configuration and
 * …/credential-helper go: not run. The helper is an absolute path that is run without arguments.
 */

const TARGET = 'desktop';
export const DESKTOP_LIBRARY = 'Library/Application Support/Claude-3p/configLibrary';
const LARGEST_BYTES = 4 * 1024 * 1024;

/** The configuration that the app's own window keeps and has applied. */
export interface AppliedConfig {
  /** undefined: there is none that could be edited. */
  readonly file: string | undefined;
  /** Why there is none. */
  readonly problem: string | undefined;
  readonly helper: string | undefined;
  readonly provider: string | undefined;
}

/** The documentation has a folder for macOS (and Windows), none for Linux. */
export function findDesktopConfig(homeDir: string, platform: NodeJS.Platform, named?: string): AppliedConfig {
  if (named !== undefined) return readDesktopConfig(named);
  if (platform !== 'darwin') return none(`Anthropic documents no configuration file of Claude Desktop on ${platform}`);
  const folder = path.join(homeDir, DESKTOP_LIBRARY);
  const meta = jsonIn(path.join(folder, '_meta.json'));
  const id = textAt(meta, 'appliedId');
  if (id === undefined) return none(`no saved configuration is applied in ${folder}`);
  if (!/^[\w-]{1,64}$/.test(id)) return none(`the applied configuration in ${folder} has an unusual name`);
  return readDesktopConfig(path.join(folder, `${id}.json`));
}

function readDesktopConfig(file: string): AppliedConfig {
  const values = jsonIn(file);
  if (values === undefined) return none(`${file} is not there, or not JSON`);
  const provider = textAt(values, 'inferenceProvider');
  const helper = textAt(values, 'inferenceCredentialHelper');
  // Another shape than the documented keys is not edited.
  if (provider === undefined) return { ...none(`${file} has no inferenceProvider`), helper };
  return { file, problem: undefined, helper, provider };
}

function none(problem: string): AppliedConfig {
  return { file: undefined, problem, helper: undefined, provider: undefined };
}

/** @throws BrokerError as `broker claude install`. */
export function installDesktop(
  context: InstallerContext,
  { file, helper, force, dryRun }: { file: string; helper: string; force: boolean; dryRun: boolean },
): InstallOutcome {
  const additions = desktopAdditions(helper);
  const request = { file, dryRun, folderMode: 0o700, fileMode: 0o600 };
  return changeFile(context, request, CLAUDE_RECORDS, {
    plan: (current, record, file) => planInstall(current, record, { file, target: TARGET, additions, force }),
  });
}

export function uninstallDesktop(
  context: InstallerContext,
  request: { readonly file: string; readonly dryRun: boolean },
): InstallOutcome {
  return changeFile(context, request, CLAUDE_RECORDS, {
    plan: (current, record, file) => planUninstall(current, record, { file, target: TARGET, force: false }),
  });
}

export function desktopAdditions(helper: string) {
  return [
    { path: ['inferenceCredentialHelper'], value: helper },
    { path: ['inferenceCredentialKind'], value: 'helper-script' },
  ];
}

/** STATE/bin/broker-key-desktop: the app gives its helper no arguments, so that a credential's name needs a script. */
export function desktopScript(stateDir: string): string {
  return path.join(stateDir, 'bin', 'broker-key-desktop');
}

export function writeDesktopScript(context: InstallerContext, helper: string, credential: string): string {
  const file = desktopScript(context.stateDir);
  ensurePrivateFolder(context.stateDir, context.uid);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeFileAtomically(file, scriptText(helper, credential), 0o700);
  return file;
}

export function removeDesktopScript(stateDir: string): boolean {
  const file = desktopScript(stateDir);
  if (readTextQuietly(file, LARGEST_BYTES) === undefined) return false;
  rmSync(file);
  return true;
}

/** Whether a helper is this project's, and the credential that it asks for; undefined: the default one. */
export function desktopAsk(helper: string | undefined, stateDir: string) {
  const isScript = helper === desktopScript(stateDir);
  const isOurs = helper !== undefined && (isScript || path.basename(helper) === 'broker-key');
  return { isOurs, credential: isScript ? credentialOfScript(stateDir) : undefined };
}

function credentialOfScript(stateDir: string): string | undefined {
  return /^exec .* ([\w.-]+)$/m.exec(readTextQuietly(desktopScript(stateDir), LARGEST_BYTES) ?? '')?.[1];
}

function scriptText(helper: string, credential: string): string {
  return `#!/bin/sh\n# Written by \`broker desktop install\`: Claude Desktop gives its helper no arguments.\nexec ${shellWord(helper)} ${shellWord(credential)}\n`;
}

/** For a Mac's device management: these keys alone, every value a string. @throws BrokerError ERR_USAGE */
export function desktopProfile(helper: string, ttlSec: number): string {
  if (/[^\x20-\x7e]/.test(helper)) {
    throw new BrokerError('ERR_USAGE', 'the path of the helper has characters that a profile cannot be trusted with', {
      remedy: 'name another place with --helper',
    });
  }
  const added = desktopAdditions(helper).map(({ path, value }) => [path.join('.'), value]);
  const keys = [...added, ['inferenceCredentialHelperTtlSec', String(ttlSec)]].map(
    ([key = '', value = '']) => `      <key>${key}</key>\n      <string>${escaped(value)}</string>`,
  );
  const payload = (type: string, name: string, id: string) =>
    [
      ['PayloadType', type],
      ['PayloadIdentifier', id],
      ['PayloadUUID', randomUUID().toUpperCase()],
      ['PayloadDisplayName', name],
    ].map(([key, value]) => `<key>${key}</key><string>${value}</string>`);
  const inner = payload('com.anthropic.claudefordesktop', 'Claude Desktop', 'apikey-broker.claude-desktop.keys');
  const outer = payload('Configuration', 'Claude Desktop: keys from broker', 'apikey-broker.claude-desktop');
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  ${outer.join('\n  ')}
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadContent</key>
  <array>
    <dict>
      ${inner.join('\n      ')}
      <key>PayloadVersion</key><integer>1</integer>
${keys.join('\n')}
    </dict>
  </array>
</dict>
</plist>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function jsonIn(file: string): unknown {
  const text = readTextQuietly(file, LARGEST_BYTES);
  if (text === undefined) return undefined;
  try {
    return { ...(JSON.parse(text.replace(/^\uFEFF/, '')) as object) };
  } catch {
    return undefined;
  }
}

function textAt(values: unknown, key: string): string | undefined {
  const value = (values as Record<string, unknown> | undefined)?.[key];
  return typeof value === 'string' ? value : undefined;
}
