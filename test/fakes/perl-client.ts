import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A program at the place of a client, with the kernel facts of one: a copy of perl, which every Debian has, since a script has
 * its interpreter's file as its executable. It runs in a session of its own, as a client in a terminal does.
 */
export class PerlClient {
  readonly program: string;
  /** For the words of another client that this one starts. */
  readonly prelude = PRELUDE;
  readonly #env: Readonly<Record<string, string>>;
  readonly #uid: number | undefined;

  constructor(folder: string, env: Readonly<Record<string, string>>, uid?: number) {
    const place = join(folder, '@anthropic-ai', 'claude-code', 'bin');
    mkdirSync(place, { recursive: true });
    this.program = join(place, 'claude');
    copyFileSync('/usr/bin/perl', this.program);
    chmodSync(this.program, 0o755);
    if (uid !== undefined) chownSync(place, uid, uid);
    this.#env = env;
    this.#uid = uid;
  }

  /** Runs a program of perl's in it; `run(…)` and what else PRELUDE has can be used. */
  async run(script: string, extra: Readonly<Record<string, string>> = {}) {
    const child = spawn(this.program, ['-e', `${PRELUDE}\n${script}`], {
      detached: true,
      env: { ...this.#env, ...extra },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(this.#uid === undefined ? {} : { uid: this.#uid, gid: this.#uid }),
    });
    const words = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        words[name] += text;
      });
    }
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, ...words };
  }

  /** A helper setting as the client runs it. */
  helper(line: string, extra?: Readonly<Record<string, string>>) {
    return this.run(`helper(${perlText(line)});`, extra);
  }

  /** The same where /bin/sh is bash, which replaces itself by its last command. */
  helperInBash(line: string) {
    return this.run(`exit child(\\&socket_in, { as => '/bin/sh' }, '/bin/bash', '-c', ${perlText(line)});`);
  }

  /** What the client runs for its agent: in a session that it is the first of. */
  tool(command: string, extra?: Readonly<Record<string, string>>) {
    return this.run(`tool(${perlText(command)});`, extra);
  }
}

export function perlText(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}

const PRELUDE = `
use strict; use warnings; use POSIX (); use Socket;
sub child {
  my ($before, @command) = @_;
  my $as = ref $command[0] ? shift(@command)->{as} : $command[0];
  my ($file, @words) = @command;
  my $pid = fork() // die;
  if ($pid == 0) {
    $before->();
    exec { $file } $as, @words;
    die "exec: $!";
  }
  waitpid($pid, 0);
  return $? >> 8;
}
sub socket_in { socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die; POSIX::dup2(fileno($a), 0); our @held = ($a, $b); }
sub helper { exit child(\\&socket_in, '/bin/sh', '-c', $_[0]) }
sub tool { my @c = @_; exit child(sub { POSIX::setsid() }, '/bin/bash', '-c', "source /dev/null; $c[0]") }
`;
