import { checkConfig } from '../config/load.ts';
import { expandHome } from '../config/paths.ts';
import { tomlValue } from '../config/toml.ts';
import type { Table } from '../config/walk.ts';
import { BrokerError, remedyOfRefusal } from '../errors.ts';
import { readRegularFile } from '../platform/files.ts';
import { NAME, NAME_RULE } from '../protocol/request.ts';
import { providerDefinitions } from '../providers/registry.ts';
import { type Draft, type Flags, type Folders, flagText, questionsOf, wayOf } from './draft.ts';
import { kindOf } from './kinds.ts';
import type { Machine } from './machine.ts';
import type { Question, Wrong } from './questions.ts';

/** Certificates and tokens are far smaller. */
const MOST_BYTES = 1024 * 1024;

/**
 * What is wrong with one answer: in what this machine knows, in the form that the configuration wants it in, or with the file
 * that it names. Asks no server.
 */
export async function wrongWith(
  question: Question,
  value: string | number,
  draft: Draft,
  { machine, homeDir }: { readonly machine: Machine; readonly homeDir: string },
): Promise<Wrong | undefined> {
  const known = question.wrong?.(String(value), machine);
  if (known !== undefined || draft.kind === undefined) return known;
  const { type, fixed, ways } = kindOf(draft.kind);
  // How to reach it is asked before how to log in; any way will do to check that.
  const chosen = ways && (wayOf(draft) ?? Object.keys(ways.choices)[0]);
  const way = ways === undefined ? {} : { [ways.key]: chosen };
  const tables = {
    options: { type, ...fixed, ...(ways?.into === 'options' ? way : {}) },
    auth: ways?.into === 'auth' ? way : undefined,
    source: { provider: 'p' },
  };
  const own = { [question.into]: { ...tables[question.into], ...nested(question.key, value) } };
  const { options, auth, source } = { ...tables, ...own } as Record<string, Table | undefined>;
  const provider = { ...options, ...(auth === undefined ? {} : { auth }) };
  const text = `providers = ${tomlValue({ p: provider })}\ncredentials = ${tomlValue({ c: source })}\n`;
  return (
    (await faultAt(text, `${PLACES[question.into]}.${question.key}`, homeDir)) ??
    (question.isFile ? missing(expandHome(String(value), homeDir)) : undefined)
  );
}

const PLACES = { options: 'providers.p', auth: 'providers.p.auth', source: 'credentials.c' } as const;

async function faultAt(text: string, key: string, homeDir: string): Promise<Wrong | undefined> {
  const options = { file: '/', types: providerDefinitions, env: {}, homeDir };
  const { faults = [] } = await checkConfig(Buffer.from(text), options);
  return faults.find((fault) => fault.key === key);
}

/** The address that the API is asked at whether a key is good. */
export function wrongWithCheck(url: string, homeDir: string): Promise<Wrong | undefined> {
  const text = `providers = { p = { type = "keychain" } }\ncredentials = { c = { provider = "p", item = "x", check = { url = ${tomlValue(url)} } } }\n`;
  return faultAt(text, 'credentials.c.check.url', homeDir);
}

export function wrongWithName(name: string): Wrong | undefined {
  return NAME.test(name) ? undefined : { message: 'this is not a name', remedy: `a name is ${NAME_RULE}` };
}

function nested(key: string, value: string | number): Table {
  const [first = '', ...rest] = key.split('.');
  return { [first]: rest.length === 0 ? value : nested(rest.join('.'), value) };
}

function missing(file: string): Wrong | undefined {
  const read = readRegularFile(file, { maxBytes: MOST_BYTES });
  if (read.state === 'absent')
    return { message: `there is no file ${file}`, remedy: 'write the path of one that is there' };
  if (read.state === 'refused') {
    const remedy = remedyOfRefusal(read.code, 'write the path of another file');
    return { message: `${file} ${read.fault}`, remedy };
  }
  const isEmpty = read.bytes.length === 0;
  read.bytes.fill(0);
  return isEmpty ? { message: `${file} is empty`, remedy: 'write the path of another file' } : undefined;
}

/** Every flag that was given, before anything is asked or tried. @throws BrokerError ERR_USAGE naming the flag. */
export async function checkFlags(
  flags: Flags,
  draft: Draft,
  around: { readonly machine: Machine; readonly folders: Folders; readonly wantsFiles: boolean },
): Promise<void> {
  const { machine, folders, wantsFiles } = around;
  const refuse = (flag: string, wrong: Wrong | undefined) => {
    if (wrong !== undefined) {
      throw new BrokerError('ERR_USAGE', `--${flag}: ${wrong.message}`, { remedy: wrong.remedy });
    }
  };
  for (const [flag, name] of [
    ['credential', draft.credential],
    ['provider-name', draft.providerName],
  ] as const) {
    if (name !== undefined) refuse(flag, wrongWithName(name));
  }
  if (draft.checkUrl !== undefined) refuse('check-url', await wrongWithCheck(draft.checkUrl, folders.homeDir));
  for (const question of questionsOf(draft)) {
    const value = draft[question.into][question.key];
    if (flagText(flags, question.flag) === undefined || value === undefined) continue;
    const { isFile, ...unread } = question;
    refuse(
      question.flag,
      await wrongWith(wantsFiles ? question : unread, value, draft, { machine, homeDir: folders.homeDir }),
    );
  }
}
