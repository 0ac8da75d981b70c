import { describe, expect, test } from 'vitest';
import { readProfiles } from '../../../src/claude/shell/profiles.ts';
import { TemporaryHome } from './home.ts';

type Files = Readonly<Record<string, string>>;

/** What a new shell exports, as `file:line NAME=value`; what only a condition decides has a `?`. */
function exported(files: Files, env: Record<string, string> = {}, platform: NodeJS.Platform = 'linux'): string[] {
  return found(files, env, platform).filter((line) => !line.endsWith(' no'));
}

function found(files: Files, env: Record<string, string>, platform: NodeJS.Platform): string[] {
  using home = new TemporaryHome();
  const fill = (text: string) => text.replaceAll('{HOME}', home.root);
  for (const [name, text] of Object.entries(files)) home.write(name, fill(text));
  const profiles = readProfiles({
    homeDir: home.root,
    env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, fill(value)])),
    platform,
    systemRoot: home.path('system'),
  });
  return profiles.flatMap(({ file, assignments }) =>
    assignments.map(
      ({ line, name, value = '…', exported }) =>
        `${file.slice(home.root.length + 1)}:${line} ${name}=${value}${exported === 'perhaps' ? ' ?' : exported === 'no' ? ' no' : ''}`,
    ),
  );
}

const KEY = 'ANTHROPIC_API_KEY';
const SET = 'export ANTHROPIC_API_KEY=k';

describe('bash: one file', () => {
  test.each<[text: string, line: number, value: string, mark?: string]>([
    [SET, 1, 'k'],
    ['\n\n  export ANTHROPIC_API_KEY="a b" # old', 3, 'a b'],
    ["export ANTHROPIC_API_KEY='$x'", 1, '$x'],
    ["export ANTHROPIC_API_KEY=$'k\\x41'", 1, 'kA'],
    ['export ANTHROPIC_API_KEY="$(pass show key)"', 1, '…'],
    ['export ANTHROPIC_API_KEY=`cat f`', 1, '…'],
    ['OTHER=k\nexport ANTHROPIC_API_KEY=$OTHER', 2, 'k'],
    ['ANTHROPIC_API_KEY=k\nexport ANTHROPIC_API_KEY', 1, 'k'],
    ['export ANTHROPIC_API_KEY\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['set -a\nANTHROPIC_API_KEY=k', 2, 'k'],
    ['set -a; . ~/.env; set +a\nFOO=1', 1, 'k'],
    ['typeset -gx ANTHROPIC_API_KEY=k', 1, 'k'],
    ['declare -x ANTHROPIC_API_KEY=k', 1, 'k'],
    ['export A=1 ANTHROPIC_API_KEY=k PATH=$PATH:/x', 1, 'k'],
    ['export "ANTHROPIC_API_KEY=k"', 1, 'k'],
    ['export A=1 \\\n  ANTHROPIC_API_KEY=k', 2, 'k'],
    ['A="over\nlines"\nexport ANTHROPIC_API_KEY=k', 3, 'k'],
    ['cat <<EOF\nexport ANTHROPIC_API_KEY=no\nEOF\nexport ANTHROPIC_API_KEY=k', 4, 'k'],
    ['read -r a b <<< "$x"\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['x=$((1<<2)); (( x <<= 1 ))\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ["x=$'it\\'s'\nexport ANTHROPIC_API_KEY=k", 2, 'k'],
    ['case $x in (a|b) echo ")";; *) ;; esac\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['a=(x "y z" [3]=q)\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['[[ $x =~ ^(a|b)$ ]]\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['echo "${x//[^a-z]/}" "${y:-"q"}"\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['f() {\n export ANTHROPIC_API_KEY=k\n}\nf', 2, 'k'],
    ['set_key() { export "$1=$2"; }\nset_key ANTHROPIC_API_KEY k', 1, 'k'],
    ['if [ -d "$HOME" ]; then export ANTHROPIC_API_KEY=k; fi', 1, 'k'],
    ['[ -d "$HOME" ] && export ANTHROPIC_API_KEY=k', 1, 'k'],
    ['{ export ANTHROPIC_API_KEY=k; } 2>/dev/null', 1, 'k'],
    ['for n in ANTHROPIC_API_KEY; do export "$n=k"; done', 1, 'k'],
    ['eval "export ANTHROPIC_API_KEY=k"', 1, 'k'],
    [': "${ANTHROPIC_API_KEY:=k}"; export ANTHROPIC_API_KEY', 1, 'k'],
    ['case "$(uname -s)" in Linux) export ANTHROPIC_API_KEY=k;; esac', 1, 'k'],
    ['case $- in *i*) ;; *) return;; esac\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['[ -z "$PS1" ] && return\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['[[ $- != *i* ]] && return\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['if [ -n "$SSH_TTY" ]; then export ANTHROPIC_API_KEY=k; fi', 1, 'k', ' ?'],
    ['command -v op >/dev/null && export ANTHROPIC_API_KEY=k', 1, 'k', ' ?'],
    ['while read -r l; do export ANTHROPIC_API_KEY=k; done < f', 1, 'k', ' ?'],
    ['unset ANTHROPIC_API_KEY\nexport ANTHROPIC_API_KEY=k', 2, 'k'],
    ['export ANTHROPIC_API_KEY=k\n[ -n "$SSH_TTY" ] && unset ANTHROPIC_API_KEY', 1, 'k'],
    ["echo 'never closed\nexport ANTHROPIC_API_KEY=k", 2, 'k'],
    ['export $(grep -v "^#" ~/.env | xargs)', 1, 'k'],
  ])('%j exports it', (text, line, value, mark = '') => {
    const lines = exported({ '.bashrc': text, '.env': 'ANTHROPIC_API_KEY=k\n' });
    const file = /\.env\b/.test(text) ? '.env' : '.bashrc';
    expect(lines).toEqual([`${file}:${line} ${KEY}=${value}${mark}`]);
  });

  test.each([
    `# ${SET}`,
    `echo ${SET}`,
    'export MY_ANTHROPIC_API_KEY=k',
    `echo "${SET}"`,
    `cat <<'X'\n${SET}\nX`,
    'ANTHROPIC_API_KEY=k',
    `f() {\n  ${SET}\n}`,
    `function f {\n  ${SET}\n}\nalias g=f`,
    `(${SET})`,
    `x=$(${SET}; claude)`,
    `${SET} | cat`,
    `{ ${SET}; } &`,
    "alias cc='ANTHROPIC_API_KEY=k claude'",
    'ANTHROPIC_API_KEY=k claude --version',
    'env ANTHROPIC_API_KEY=k claude --version',
    `${SET}\n\nunset ANTHROPIC_API_KEY`,
    `${SET}\nexport -n ANTHROPIC_API_KEY`,
    `f() { ${SET}; }\ng() { unset ANTHROPIC_API_KEY; }\nf\ng`,
    'f() { local -x ANTHROPIC_API_KEY=k; claude; }\nf',
    `if [ "$(uname)" = Darwin ]; then ${SET}; fi`,
    `return 0\n${SET}`,
    `[ -f ~/nowhere ] && ${SET}`,
    `if false; then ${SET}; fi`,
    'set -a; set +a; ANTHROPIC_API_KEY=k',
  ])('%j does not', (text) => {
    expect(exported({ '.bashrc': `${text}\n` })).toEqual([]);
  });
});

describe('zsh: what bash has not hides nothing', () => {
  test.each([
    'for f in ~/.zsh/*.zsh(N); do source $f; done',
    'autoload -Uz compinit; compinit -d ~/.cache/zcompdump(N.mh+24)',
    'if (( $+commands[fzf] )) { source <(fzf --zsh) }',
    'for i in a b; { echo $i }',
    'for x (a b c) echo $x',
    'foreach x (a b c)\n echo $x\nend',
    'if [[ -f x ]] { echo y } elif [[ -f z ]] { echo z } else { echo n }',
    '{ echo y } always { echo z }',
    'function foo bar { echo }',
    'function { local x=1; echo $x }',
    '() { echo $1 } arg "${x}"',
    'mkcd() { mkdir -p $1 && cd $1 }',
    'export PATH=$PATH:/x(N)',
    'local -a files=( *(.om[1,10]) )',
    '[[ $TERM == (dumb|linux) ]] && return',
    'case $x in\n (#i)foo) echo;;\nesac',
    'case $x { a) echo ;; }',
    'while (true) { break }',
    'echo $x[(i)foo] ${(s.:.)x} ${${(%):-%x}:A:h}',
    'sleep 1 &!',
    'cat x | sort &>/dev/null &|;',
    'for k v in a b c d; do echo $k; done',
    'for dir (${(s.:.)PATH}); do echo $dir; done',
    'for f (\n  "a b" # first\n  c\n); do echo $f; done',
    'urlencode() {echo $@ | tr -d x | sed "s/a/b/"}',
    'empty() {}',
    'if (( #x )); then echo y; fi',
    'function preexec() { : }',
    'case $job in\n <->) echo number ;;\n (darwin|freebsd)*) echo bsd ;;\nesac',
    'diff =(echo a) =(echo b)',
    'for x in a b\ndo\n  ( cd / )\ndone',
    'sleep 1 &|',
    'echo foo >! /dev/null; cat <<< foo',
    '{ unalias x } 2>/dev/null',
    "PROMPT='%(?.%F{green}.%F{red})%#%f '",
    "zinit ice wait'!0' lucid; zinit light foo/bar",
  ])('%s', (text) => {
    const lines = `${text}\n`.split('\n').length;
    expect(exported({ '.zshrc': `${text}\n${SET}\n` })).toEqual([`.zshrc:${lines} ${KEY}=k`]);
    // Nor does it move a line out of the function that it is in.
    expect(exported({ '.zshrc': `later() {\n${text}\n${SET}\n}\n` })).toEqual([]);
  });
});

describe('fish', () => {
  const file = '.config/fish/config.fish';
  test.each<[text: string, value: string, mark?: string]>([
    ['set -gx ANTHROPIC_API_KEY k', 'k'],
    ['set --global --export ANTHROPIC_API_KEY "k"', 'k'],
    ['set -Ux ANTHROPIC_API_KEY (pass key)', '…'],
    ['set -x ANTHROPIC_API_KEY k', 'k'],
    ['export ANTHROPIC_API_KEY=k', 'k'],
    ['if status is-interactive; set -gx ANTHROPIC_API_KEY k; end', 'k'],
    ['status is-interactive; and set -gx ANTHROPIC_API_KEY k', 'k'],
    ['function f; set -gx ANTHROPIC_API_KEY k; end; f', 'k'],
    ['switch (uname); case Linux; set -gx ANTHROPIC_API_KEY k; case Darwin; echo; end', 'k'],
    ['if type -q op; set -gx ANTHROPIC_API_KEY k; end', 'k', ' ?'],
    ['set X k; set -gx ANTHROPIC_API_KEY $X', 'k'],
    ['begin; set -gx ANTHROPIC_API_KEY k; end', 'k'],
    ["echo 'it\\'s'; set -gx ANTHROPIC_API_KEY k", 'k'],
    ['set -l ANTHROPIC_API_KEY j; set -gx ANTHROPIC_API_KEY k', 'k'],
    ['set -gx ANTHROPIC_API_KEY j; function f; set ANTHROPIC_API_KEY k; end; f', 'k'],
    ['for f in a b; echo $f; end; test -d ~; and set -gx ANTHROPIC_API_KEY k', 'k'],
    ['set ANTHROPIC_API_KEY k; set -gx ANTHROPIC_API_KEY', ''],
  ])('%s exports it', (text, value, mark = '') => {
    const lines = exported({ [file]: text });
    expect(lines.at(-1)).toBe(`${file}:1 ${KEY}=${value}${mark}`);
  });

  test.each([
    'set -l ANTHROPIC_API_KEY k',
    'set -lx ANTHROPIC_API_KEY k',
    'set -g ANTHROPIC_API_KEY k',
    'function f; set -gx ANTHROPIC_API_KEY k; end',
    'function f; set -x ANTHROPIC_API_KEY k; end; f',
    'ANTHROPIC_API_KEY=k claude',
    'env ANTHROPIC_API_KEY=k claude',
    'set -gx ANTHROPIC_API_KEY k; set -e ANTHROPIC_API_KEY',
    'begin; set -lx ANTHROPIC_API_KEY k; end',
    'if test -f ~/nowhere; set -gx ANTHROPIC_API_KEY k; end',
    'if status is-interactive; else; set -gx ANTHROPIC_API_KEY k; end',
    'switch (uname); case Darwin; set -gx ANTHROPIC_API_KEY k; end',
    '# set -gx ANTHROPIC_API_KEY k',
    "alias cc 'ANTHROPIC_API_KEY=k claude'",
  ])('%s does not', (text) => {
    expect(exported({ [file]: `${text}\n` })).toEqual([]);
  });

  test('functions of their own files, parts of conf.d and universal variables', () => {
    const fish = (text: string) => exported({ [file]: 'load\n', '.config/fish/functions/load.fish': text });
    expect(fish('function load\n set -gx ANTHROPIC_API_KEY k\nend\n')).toEqual([
      `.config/fish/functions/load.fish:2 ${KEY}=k`,
    ]);
    expect(
      exported({ '.config/fish/functions/load.fish': 'function load\n set -gx ANTHROPIC_API_KEY k\nend\n' }),
    ).toEqual([]);
    expect(exported({ '.config/fish/conf.d/a.fish': 'set -gx ANTHROPIC_API_KEY k' })).toEqual([
      `.config/fish/conf.d/a.fish:1 ${KEY}=k`,
    ]);
    const universal = (text: string) => exported({ '.config/fish/fish_variables': text });
    expect(universal('SETUVAR --export ANTHROPIC_API_KEY:sk\\x2dant\\x2dk\n')).toEqual([
      `.config/fish/fish_variables:1 ${KEY}=sk-ant-k`,
    ]);
    expect(universal('SETUVAR ANTHROPIC_API_KEY:k\n')).toEqual([]);
  });
});

describe('which files a new shell reads', () => {
  test.each<[name: string, files: Files, expected: string[], env?: Record<string, string>]>([
    ['sourced by name', { '.zshrc': '. ~/.secrets\n', '.secrets': SET }, ['.secrets:1']],
    [
      'sourced behind a test',
      { '.bashrc': '[ -f "$HOME/.keys" ] && source "$HOME/.keys"\n', '.keys': SET },
      ['.keys:1'],
    ],
    [
      'sourced in a loop over braces',
      { '.bash_profile': 'for f in ~/.{path,extra}; do [ -r "$f" ] && source "$f"; done', '.extra': SET },
      ['.extra:1'],
    ],
    [
      'sourced in a loop over a glob',
      { '.zshrc': 'for f in $HOME/.zsh/*.zsh(N); do source $f; done', '.zsh/keys.zsh': SET },
      ['.zsh/keys.zsh:1'],
    ],
    [
      'the custom folder of oh-my-zsh',
      {
        '.zshrc': 'export ZSH="$HOME/.oh-my-zsh"\nsource $ZSH/oh-my-zsh.sh\n',
        '.oh-my-zsh/oh-my-zsh.sh':
          '[[ -n "$ZSH_CUSTOM" ]] || ZSH_CUSTOM="$ZSH/custom"\nload() { source "$ZSH/$1" }\nfor f ("$ZSH"/lib/*.zsh); do\n  load "lib/${f:t}"\ndone\nfor f ("$ZSH_CUSTOM"/*.zsh(N)); do\n  source "$f"\ndone\n',
        '.oh-my-zsh/lib/git.zsh': 'export GIT=1\n',
        '.oh-my-zsh/custom/keys.zsh': SET,
      },
      ['.oh-my-zsh/custom/keys.zsh:1'],
    ],
    [
      'sourced by a variable',
      { '.zshrc': 'export DOTFILES="$HOME/.dotfiles"\nsource $DOTFILES/env.zsh', '.dotfiles/env.zsh': SET },
      ['.dotfiles/env.zsh:1'],
    ],
    [
      'sourced beside itself',
      { '.zshrc': 'source ~/d/init.zsh', 'd/init.zsh': 'source "${0:A:h}/keys.zsh"', 'd/keys.zsh': SET },
      ['d/keys.zsh:1'],
    ],
    [
      'sourced beside itself, bash',
      { '.bashrc': '. ~/d/init', 'd/init': '. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/keys"', 'd/keys': SET },
      ['d/keys:1'],
    ],
    ['a file that sources itself', { '.bashrc': `. ~/.bashrc\n${SET}` }, ['.bashrc:2']],
    [
      'ZDOTDIR of .zshenv',
      { '.zshenv': 'export ZDOTDIR=$HOME/.config/zsh', '.config/zsh/.zshrc': SET },
      ['.config/zsh/.zshrc:1'],
    ],
    [
      'with ZDOTDIR the .zshrc of the home is not read',
      { '.zshenv': 'ZDOTDIR=~/z', 'z/.zshrc': ':', '.zshrc': SET },
      [],
    ],
    [
      'ZDOTDIR by default',
      { '.zshenv': 'export ZDOTDIR="${XDG_CONFIG_HOME:-$HOME/.config}/zsh"', '.config/zsh/.zprofile': SET },
      ['.config/zsh/.zprofile:1'],
    ],
    [
      'ZDOTDIR by an assigning default',
      { '.zshenv': ': ${ZDOTDIR:=$HOME/.config/zsh}', '.config/zsh/.zshrc': SET },
      ['.config/zsh/.zshrc:1'],
    ],
    ['ZDOTDIR of this shell', { 'z/.zshrc': SET }, ['z/.zshrc:1'], { ZDOTDIR: '{HOME}/z' }],
    ['/etc/zsh/zshenv', { 'system/etc/zsh/zshenv': SET }, ['system/etc/zsh/zshenv:1']],
    ['/etc/zshrc', { 'system/etc/zshrc': SET }, ['system/etc/zshrc:1']],
    ['/etc/profile.d', { 'system/etc/profile.d/keys.sh': SET }, ['system/etc/profile.d/keys.sh:1']],
    ['.xprofile', { '.xprofile': SET }, ['.xprofile:1']],
    ['environment.d', { '.config/environment.d/k.conf': 'ANTHROPIC_API_KEY=k' }, ['.config/environment.d/k.conf:1']],
    [
      '.bash_profile goes before .profile, which the desktop reads',
      { '.bash_profile': ':', '.profile': SET },
      ['.profile:1'],
    ],
    ['unset in the next file', { '.zshenv': SET, '.zshrc': 'unset ANTHROPIC_API_KEY' }, []],
    [
      '/etc/environment, unset by nobody',
      { 'system/etc/environment': 'ANTHROPIC_API_KEY="k"' },
      ['system/etc/environment:1'],
    ],
    [
      '.envrc that direnv has loaded',
      { 'project/.envrc': SET },
      ['project/.envrc:1'],
      { DIRENV_FILE: '{HOME}/project/.envrc' },
    ],
    [
      '.env of such an .envrc',
      { 'project/.envrc': 'dotenv\n', 'project/.env': 'ANTHROPIC_API_KEY=k' },
      ['project/.env:1'],
      { DIRENV_FILE: '{HOME}/project/.envrc' },
    ],
    ['.envrc that nobody has loaded', { 'project/.envrc': SET, '.zshrc': 'eval "$(direnv hook zsh)"' }, []],
  ])('%s', (_, files, expected, env = {}) => {
    expect(exported(files, env)).toEqual(expected.map((place) => `${place} ${KEY}=k`));
  });

  test('macOS by its name', () => {
    const text = `if [[ "$OSTYPE" == darwin* ]]; then\n  ${SET}\nfi`;
    expect(exported({ '.zshrc': text }, {}, 'darwin')).toEqual([`.zshrc:2 ${KEY}=k`]);
    expect(exported({ '.zshrc': text })).toEqual([]);
  });
});
