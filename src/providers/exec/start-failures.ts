import { ProviderError } from '../../errors.ts';
import { readTextQuietly, statQuietly } from '../../platform/files.ts';
import { programFile } from './options.ts';
import { bounded, type RunSubject, shown } from './run-subject.ts';

/** The program itself could not be run. */
export function startFailure(code: string, subject: RunSubject): ProviderError {
  const what = shown(subject.command[0]);
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    const [message, remedy] = absent(what, subject);
    return new ProviderError('misconfigured', message, { remedy });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'ENOEXEC') {
    return new ProviderError('misconfigured', `the program "${what}" cannot be run (${code})`, {
      remedy: 'make the file executable (chmod u+x) and, if it is a script, give it a first line like #!/bin/sh',
    });
  }
  return new ProviderError('transient', `the program "${what}" could not be started (${bounded(code)})`, {
    remedy: 'check that this machine has memory, processes and open files to spare',
  });
}

/** A script of more bytes is not looked into. */
const LONGEST_SCRIPT = 1024 * 1024;

/** The system says "no such file" of the folder, the program, and what runs the program (execve(2)) alike. */
function absent(
  what: string,
  { provider, command: [program], env, cwd }: RunSubject,
): readonly [message: string, remedy: string] {
  const where = `[providers.${provider}]`;
  if (statQuietly(cwd)?.isDirectory() !== true) {
    return [`the folder ${bounded(cwd)}, to run the program "${what}" in, does not exist`, `correct cwd in ${where}`];
  }
  const file = programFile(program, { homeDir: '', cwd, path: env['PATH'] });
  if (file === undefined) {
    const isNamed = !program.includes('/');
    const path = `give its full path in command of ${where}; PATH is ${bounded(env['PATH'] ?? '')}`;
    return isNamed
      ? [`the program "${what}" was not found in the daemon's PATH`, path]
      : [`the program "${what}" does not exist`, `correct command in ${where}`];
  }
  const [, interpreter, ending] = /^#![ \t]*(\S+)[^\r\n]*(\r?)/.exec(readTextQuietly(file, LONGEST_SCRIPT) ?? '') ?? [];
  const shownFile = bounded(shown(file));
  if (interpreter === undefined) {
    const remedy = `install the one for this system; ldd ${shownFile} shows what it wants`;
    return [`the program "${what}" is there, but not what loads it`, remedy];
  }
  return ending === '\r'
    ? [`the script "${what}" has Windows line ends, so what runs it is not found`, withoutWindowsLines(shownFile)]
    : [
        `the script "${what}" is run by ${bounded(shown(interpreter))}, which does not exist`,
        `install that, or correct the first line of ${shownFile}`,
      ];
}

export function withoutWindowsLines(file: string): string {
  return `run: perl -pi -e 's/\\r$//' ${file}`;
}
