import { H, type Home, helper, LOGIN as LOGIN_FILE, MANAGED, OAUTH, OURS, script, USER } from './homes.ts';

const ours = helper(OURS);
const withEnv = (env: object) => helper(OURS, { env });
const LOGIN = ['login', 'login', null] as const;
const CLOUD = ['cloud', 'cloud', 'cloud'] as const;
const KEY = 'sk-ant-api03-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const STORE = 'nix/store/0c1yq2v3-home-manager-files';
/** A gateway's key, from a helper that is not ours. */
const GATEWAY = { 'gw.sh': script('K=gateway-0123456789abcdef; printf %s "$K"') };

/** Nothing is wrong here: no error, no warning, exit 0. */
const HEALTHY: readonly Omit<Home, 'finds'>[] = [
  { name: 'plain', files: { [USER]: ours }, wins: H },
  {
    name: 'plain, with deny rules',
    files: { [USER]: helper(OURS, { permissions: { deny: ['Bash(broker-key:*)'] } }) },
    wins: H,
  },
  { name: 'a subscription alone', files: { '.claude/.credentials.json': LOGIN_FILE }, wins: LOGIN },
  {
    name: 'a subscription beside the helper',
    files: { [USER]: ours, '.claude/.credentials.json': LOGIN_FILE },
    wins: H,
  },
  {
    name: 'dotfiles with links',
    files: {
      'dotfiles/claude/settings.json': ours,
      'dotfiles/zsh/zshrc': 'source ~/dotfiles/zsh/aliases.zsh\nexport EDITOR=vim\n',
      'dotfiles/zsh/aliases.zsh': "alias ll='ls -l'\n",
      'dotfiles/bash/bashrc': 'for f in ~/dotfiles/bash/*.sh; do . "$f"; done\n',
      'dotfiles/bash/path.sh': 'PATH="$HOME/bin:$PATH"\n',
    },
    links: {
      [USER]: 'dotfiles/claude/settings.json',
      '.zshrc': 'dotfiles/zsh/zshrc',
      '.bashrc': 'dotfiles/bash/bashrc',
    },
    wins: H,
  },
  {
    name: 'the whole folder of the client is a link into dotfiles',
    files: { 'dotfiles/claude/settings.json': [ours, 0o644] },
    links: { '.claude': 'dotfiles/claude' },
    wins: H,
  },
  {
    name: 'Home Manager',
    files: {
      [`${STORE}/.claude/settings.json`]: [ours, 0o444],
      [`${STORE}/.zshenv`]: [
        '. "$HOME/.nix-profile/etc/profile.d/hm-session-vars.sh"\nZDOTDIR=$HOME/.config/zsh\n',
        0o444,
      ],
      [`${STORE}/.config/zsh/.zshrc`]: [
        'typeset -U path cdpath fpath manpath\nfor profile in ${(z)NIX_PROFILES}; do fpath+=($profile/share/zsh/site-functions); done\n',
        0o444,
      ],
      '.nix-profile/etc/profile.d/hm-session-vars.sh': [
        'if [ -n "$__HM_SESS_VARS_SOURCED" ]; then return; fi\nexport __HM_SESS_VARS_SOURCED=1\nexport EDITOR="nvim"\n',
        0o444,
      ],
    },
    links: {
      [USER]: `${STORE}/.claude/settings.json`,
      '.zshenv': `${STORE}/.zshenv`,
      '.config/zsh/.zshrc': `${STORE}/.config/zsh/.zshrc`,
    },
    wins: H,
  },
  {
    name: 'NixOS with fish',
    files: {
      [USER]: ours,
      'system/etc/fish/config.fish':
        'test -n "$__fish_nixos_general_config_sourced"\nor begin\n  set -g __fish_nixos_general_config_sourced 1\nend\n',
      '.config/fish/config.fish':
        'set -q __fish_home_manager_config_sourced; and exit\nset -g __fish_home_manager_config_sourced 1\nstatus is-interactive; and begin\n  abbr --add g git\nend\n',
    },
    wins: H,
  },
  {
    name: 'devcontainer',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/.claude-container', REMOTE_CONTAINERS: 'true', DEVCONTAINER: 'true' },
    files: {
      '.claude-container/settings.json': ours,
      '.bashrc':
        'if [ -t 1 ] && [ "${TERM_PROGRAM}" = "vscode" ]; then cat /usr/local/etc/vscode-dev-containers/first-run-notice.txt; fi\nexport CLAUDE_CONFIG_DIR="$HOME/.claude-container"\n',
      '.zshrc': 'export CLAUDE_CONFIG_DIR=$HOME/.claude-container\n',
    },
    wins: H,
  },
  {
    name: 'corporate: managed helper and rules',
    files: { [MANAGED]: [helper(OURS, { permissions: { deny: ['Read(.env)'] } }), 0o644] },
    wins: H,
  },
  {
    name: 'corporate: drop-ins, and a user who has settings of their own',
    files: {
      'system/etc/claude-code/managed-settings.json': [JSON.stringify({ permissions: { deny: [] } }), 0o644],
      'system/etc/claude-code/managed-settings.d/20-key.json': [ours, 0o644],
      [USER]: JSON.stringify({ model: 'sonnet' }),
    },
    wins: H,
  },
  {
    name: 'corporate: the same helper managed and in the user file',
    files: { [MANAGED]: ours, [USER]: ours },
    wins: H,
  },
  {
    name: 'corporate: the company sets the proxy for everybody',
    env: { HTTPS_PROXY: 'http://proxy.corp.example.com:3128' },
    files: {
      [MANAGED]: ours,
      'system/etc/profile.d/proxy.sh': [
        'export HTTPS_PROXY=http://proxy.corp.example.com:3128 no_proxy=localhost\n',
        0o644,
      ],
    },
    wins: H,
  },
  {
    name: 'several gateways by functions, bash',
    files: {
      [USER]: ours,
      '.bashrc':
        'deepseek() {\n  export ANTHROPIC_BASE_URL=https://api.deepseek.example/anthropic\n  export ANTHROPIC_AUTH_TOKEN="$DEEPSEEK_KEY"\n  claude "$@"\n}\nkimi() { ANTHROPIC_BASE_URL=https://kimi.example ANTHROPIC_AUTH_TOKEN=$KIMI_KEY claude "$@"; }\n',
    },
    wins: H,
  },
  {
    name: 'several gateways by functions, zsh, keys in the text',
    files: {
      [USER]: ours,
      '.zshrc': `glm() { export ANTHROPIC_BASE_URL=https://glm.example; export ANTHROPIC_AUTH_TOKEN=${KEY}; claude "$@" }\nalias cl='ANTHROPIC_AUTH_TOKEN=${KEY} claude'\n`,
    },
    wins: H,
  },
  {
    name: 'several gateways by functions, fish',
    files: {
      [USER]: ours,
      '.config/fish/functions/glm.fish':
        'function glm\n  set -lx ANTHROPIC_BASE_URL https://glm.example\n  set -lx ANTHROPIC_AUTH_TOKEN (pass glm)\n  claude $argv\nend\n',
      '.config/fish/config.fish': 'function bedrock; CLAUDE_CODE_USE_BEDROCK=1 claude $argv; end\n',
    },
    wins: H,
  },
  {
    name: 'a switcher that turns everything off at the start',
    files: {
      [USER]: ours,
      '.zshrc':
        'claude-use() {\n  unset ANTHROPIC_BASE_URL ANTHROPIC_AUTH_TOKEN\n  [[ $1 == glm ]] && export ANTHROPIC_AUTH_TOKEN=$GLM\n}\n',
    },
    wins: H,
  },
  {
    name: 'accounts by CLAUDE_CONFIG_DIR',
    files: { [USER]: ours, '.zshrc': "alias claude-work='CLAUDE_CONFIG_DIR=~/.claude-work claude'\n" },
    wins: H,
  },
  {
    name: 'direnv',
    env: { DIRENV_FILE: '{HOME}/project/.envrc', DIRENV_DIR: '-{HOME}/project', AWS_PROFILE: 'dev' },
    files: {
      [USER]: ours,
      '.zshrc': 'eval "$(direnv hook zsh)"\n',
      'project/.envrc': 'use flake\ndotenv_if_exists .env.local\nPATH_add bin\nexport AWS_PROFILE=dev\n',
      'project/.env.local': 'DATABASE_URL=postgres://localhost/dev\n',
    },
    wins: H,
  },
  {
    name: 'direnv is there, and the project was not allowed',
    files: {
      [USER]: ours,
      '.bashrc': 'eval "$(direnv hook bash)"\n',
      'project/.envrc': `export ANTHROPIC_API_KEY=${KEY}\n`,
    },
    wins: H,
  },
  {
    name: 'fish with parts and universal variables',
    files: {
      [USER]: ours,
      '.config/fish/conf.d/path.fish': 'fish_add_path ~/bin\n',
      '.config/fish/fish_variables':
        '# This file contains fish universal variable definitions.\n# VERSION: 3.0\nSETUVAR __fish_initialized:3800\nSETUVAR fish_user_paths:/home/u/bin\\x1e/opt/bin\nSETUVAR --export EDITOR:nvim\n',
      '.config/fish/config.fish': 'if status is-interactive\n    starship init fish | source\nend\n',
    },
    wins: H,
  },
  {
    name: 'zsh with ZDOTDIR in .zshenv',
    files: {
      [USER]: ours,
      '.zshenv': 'export ZDOTDIR="$HOME/.config/zsh"\n',
      '.config/zsh/.zshrc': 'setopt autocd\n',
      '.zshrc': `export ANTHROPIC_API_KEY=${KEY}\n`,
    },
    wins: H,
  },
  {
    name: 'zsh in an editor that moves ZDOTDIR',
    env: { ZDOTDIR: '{HOME}/tmp/code-zsh', USER_ZDOTDIR: '{HOME}' },
    files: {
      [USER]: ours,
      'tmp/code-zsh/.zshrc':
        'if [[ -f $USER_ZDOTDIR/.zshrc ]]; then\n  ZDOTDIR=$USER_ZDOTDIR\n  . $USER_ZDOTDIR/.zshrc\nfi\n',
      '.zshrc': ':\n',
    },
    wins: H,
  },
  {
    name: 'oh-my-zsh, Powerlevel10k, glob qualifiers, functions without a semicolon',
    files: {
      [USER]: ours,
      '.zshrc':
        'if [[ -r "${XDG_CACHE_HOME:-$HOME/.cache}/p10k-instant-prompt-${(%):-%n}.zsh" ]]; then\n  source "${XDG_CACHE_HOME:-$HOME/.cache}/p10k-instant-prompt-${(%):-%n}.zsh"\nfi\nexport ZSH="$HOME/.oh-my-zsh"\nplugins=(git z)\nsource $ZSH/oh-my-zsh.sh\nfor f in ~/.zsh/*.zsh(N); do source $f; done\nmkcd() { mkdir -p $1 && cd $1 }\n',
      '.oh-my-zsh/oh-my-zsh.sh':
        'for plugin ($plugins); do\n  [[ -d $ZSH/plugins/$plugin ]] && fpath=($ZSH/plugins/$plugin $fpath)\ndone\n',
    },
    wins: H,
  },
  {
    name: 'bash with nvm, conda and cargo',
    files: {
      [USER]: ours,
      '.bash_profile': '[[ -f ~/.bashrc ]] && . ~/.bashrc\n. "$HOME/.cargo/env"\n',
      '.bashrc':
        'export NVM_DIR="$HOME/.nvm"\n[ -s "$NVM_DIR/nvm.sh" ] && \\. "$NVM_DIR/nvm.sh"\n__conda_setup="$(\'/opt/conda/bin/conda\' \'shell.bash\' \'hook\' 2> /dev/null)"\nif [ $? -eq 0 ]; then\n  eval "$__conda_setup"\nelse\n  export PATH="/opt/conda/bin:$PATH"\nfi\nunset __conda_setup\n',
      '.cargo/env':
        'case ":${PATH}:" in\n  *:"$HOME/.cargo/bin":*) ;;\n  *) export PATH="$HOME/.cargo/bin:$PATH" ;;\nesac\n',
    },
    wins: H,
  },
  { name: 'the helper under the home, with a tilde', files: { [USER]: helper('~/bin/broker-key anthropic') }, wins: H },
  { name: 'the helper with exec', files: { [USER]: helper('exec {HOME}/bin/broker-key anthropic') }, wins: H },
  {
    name: 'the helper by a link of another name',
    files: { [USER]: helper('{HOME}/bin/claude-key anthropic'), 'state/bin/broker-key': script(`echo ${KEY}`) },
    links: { 'bin/claude-key': 'state/bin/broker-key' },
    wins: H,
  },
  {
    name: 'the helper on PATH',
    env: { PATH: '{HOME}/bin:/usr/bin:/bin' },
    files: { [USER]: helper('broker-key anthropic') },
    wins: H,
  },
  {
    name: "the settings' own PATH leads to the helper",
    files: { [USER]: helper('broker-key anthropic', { env: { PATH: '{HOME}/bin:/usr/bin:/bin' } }) },
    wins: H,
  },
  {
    name: 'a built-in of the shell in front of the helper',
    files: {
      [USER]: helper('test -d / && {HOME}/gw.sh', { env: { ANTHROPIC_BASE_URL: 'https://gw.example.com' } }),
      ...GATEWAY,
    },
    wins: H,
  },
  {
    name: 'a gateway in the settings',
    files: { [USER]: helper('{HOME}/gw.sh', { env: { ANTHROPIC_BASE_URL: 'https://gw.example.com' } }), ...GATEWAY },
    wins: H,
  },
  {
    name: 'a gateway that the profile and this shell know',
    env: { ANTHROPIC_BASE_URL: 'https://gw.example.com' },
    files: {
      [USER]: helper('{HOME}/gw.sh'),
      '.zshrc': 'export ANTHROPIC_BASE_URL=https://gw.example.com\n',
      ...GATEWAY,
    },
    wins: H,
  },
  {
    name: 'a gateway on this machine, without a key',
    env: { ANTHROPIC_BASE_URL: 'http://localhost:11434', ANTHROPIC_AUTH_TOKEN: 'ollama' },
    files: { '.zshrc': 'export ANTHROPIC_BASE_URL=http://localhost:11434\nexport ANTHROPIC_AUTH_TOKEN=ollama\n' },
    wins: ['auth-token', 'auth-token', 'auth-token'],
  },
  {
    name: 'every other helper as install writes it',
    files: {
      [USER]: helper(OURS, {
        otelHeadersHelper: '{HOME}/bin/broker-key --format headers anthropic',
        awsCredentialExport: '{HOME}/bin/broker-key --format aws anthropic',
        proxyAuthHelper: '{HOME}/bin/broker-key --format proxy anthropic',
        env: { CLAUDE_CODE_ENABLE_PROXY_AUTH_HELPER: '1' },
      }),
      '.claude.json': JSON.stringify({
        mcpServers: {
          docs: {
            type: 'http',
            url: 'https://mcp.example.com',
            headersHelper: '{HOME}/bin/broker-key --format headers',
          },
        },
      }),
      'project/.mcp.json': JSON.stringify({ mcpServers: { local: { command: 'npx', args: ['x'] } } }),
    },
    wins: H,
  },
  {
    name: 'names that look like secrets, in a file that others can read',
    files: {
      [USER]: [
        withEnv({
          MAX_THINKING_TOKENS: '8000',
          GIT_AUTHOR_NAME: 'A',
          SSH_AUTH_SOCK: '/run/a',
          KEYTIMEOUT: '1',
          CLAUDE_CODE_MAX_OUTPUT_TOKENS: 32000,
          GITHUB_TOKEN: '',
        }),
        0o644,
      ],
    },
    wins: H,
  },
  {
    name: 'a secret in a file that others could read, in a folder that they cannot enter',
    isClosed: true,
    files: { [USER]: [withEnv({ GITHUB_TOKEN: 'github-token-0123456789' }), 0o644] },
    wins: H,
  },
  {
    name: 'set in .zshenv, unset in .zshrc',
    files: { [USER]: ours, '.zshenv': `export ANTHROPIC_API_KEY=${KEY}\n`, '.zshrc': 'unset ANTHROPIC_API_KEY\n' },
    wins: H,
  },
  {
    name: 'a key for the other system',
    files: { [USER]: ours, '.zshrc': `if [[ "$(uname)" == Darwin ]]; then\n  export ANTHROPIC_API_KEY=${KEY}\nfi\n` },
    wins: H,
  },
  {
    name: 'commented out, in a heredoc, in a message',
    files: {
      [USER]: ours,
      '.bashrc': `# export ANTHROPIC_API_KEY=${KEY}\ncat <<EOF >/dev/null\nexport ANTHROPIC_API_KEY=${KEY}\nEOF\necho 'export ANTHROPIC_API_KEY=...' >/dev/null\n`,
    },
    wins: H,
  },
  {
    name: 'emptied',
    env: { ANTHROPIC_API_KEY: '' },
    files: { [USER]: ours, '.zshrc': 'export ANTHROPIC_API_KEY=\nexport CLAUDE_CODE_USE_BEDROCK=0\n' },
    wins: H,
  },
  {
    name: 'Bedrock alone, in the profile and here',
    env: { CLAUDE_CODE_USE_BEDROCK: '1', AWS_REGION: 'us-east-1' },
    files: { '.zshrc': 'export CLAUDE_CODE_USE_BEDROCK=1\nexport AWS_REGION=us-east-1\n' },
    wins: CLOUD,
  },
  {
    name: 'macOS with Homebrew',
    platform: 'darwin',
    files: {
      [USER]: ours,
      '.zprofile': 'eval "$(/opt/homebrew/bin/brew shellenv)"\n',
      '.zshrc': 'autoload -Uz compinit && compinit\n',
    },
    wins: H,
  },
  {
    name: 'WSL',
    files: {
      [USER]: ours,
      '.bashrc':
        'if grep -qi microsoft /proc/version; then\n  export BROWSER=wslview\nfi\nexport WSLENV=CLAUDE_CONFIG_DIR/p\n',
    },
    wins: H,
  },
  {
    name: 'CI with a settings file of its own',
    flag: 'ci.json',
    files: { 'ci.json': ours },
    wins: ['helper', 'helper', 'helper'],
  },
  {
    name: 'a project whose folder is trusted',
    files: {
      'project/.claude/settings.json': ours,
      '.claude.json': '{"projects":{"{HOME}/project":{"hasTrustDialogAccepted":true}}}',
    },
    wins: H,
  },
  {
    name: 'a token for scripts, made by a function',
    files: { [USER]: ours, '.zshrc': `ci-claude() { CLAUDE_CODE_OAUTH_TOKEN=${OAUTH} claude -p "$@" }\n` },
    wins: H,
  },
];

export const HEALTHY_HOMES: readonly Home[] = HEALTHY.map((home) => ({
  ...home,
  name: `healthy: ${home.name}`,
  finds: [],
}));
