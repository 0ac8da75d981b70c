import type { Situation } from './solve.ts';

const OLD = 'sk-ant-api03-former-employer-00000000000000';
const ISSUES = 'https://github.com/anthropics/claude-code/issues';
const settings = (more: object) => JSON.stringify({ apiKeyHelper: '{HOME}/helper.sh', ...more }, null, 2);

/**
 * Situations that people reported or committed, rebuilt with made-up keys: what lies about, the cause that the doctor names, and
 * a remedy that is followed to the letter. These are about shells, profiles, variables, helpers and files.
 */
export const SHELL_SITUATIONS: readonly Situation[] = [
  {
    name: 'a key in .zshrc takes the login away',
    source: `${ISSUES}/1618`,
    shell: 'zsh',
    files: { '.zshrc': `# tools\nexport EDITOR=vim\nexport ANTHROPIC_API_KEY="${OLD}"\nalias ll='ls -l'\n` },
    finds: ['profile-overrides-helper'],
    says: /\.zshrc:3 sets ANTHROPIC_API_KEY/,
  },
  {
    name: 'the key is in a file that .zshrc sources',
    source: `${ISSUES}/9699`,
    shell: 'zsh',
    files: {
      '.zshrc': '[[ -f ~/.env.zsh ]] && source ~/.env.zsh\n',
      '.env.zsh': `export TEAM=data ANTHROPIC_API_KEY=${OLD}\n`,
    },
    finds: ['profile-overrides-helper'],
    says: /\.env\.zsh:1 sets ANTHROPIC_API_KEY/,
  },
  {
    name: 'the key comes with the login, and the subscription is not used',
    source: 'https://github.com/cline/cline/issues/4690',
    shell: 'bash',
    isLogin: true,
    files: {
      '.profile': `if [ -n "$BASH_VERSION" ]; then\n  [ -f "$HOME/.bashrc" ] && . "$HOME/.bashrc"\nfi\nexport ANTHROPIC_API_KEY='${OLD}'\n`,
      '.bashrc': ':\n',
    },
    finds: ['profile-overrides-helper'],
    says: /\.profile:4 sets ANTHROPIC_API_KEY/,
  },
  {
    name: 'what a router asked for in .bashrc is still there',
    source: 'https://github.com/musistudio/claude-code-router/issues/11',
    shell: 'bash',
    files: {
      '.bashrc':
        'export DISABLE_PROMPT_CACHING=1\nexport ANTHROPIC_AUTH_TOKEN="test"\nexport ANTHROPIC_BASE_URL="http://127.0.0.1:9"\nexport API_TIMEOUT_MS=60000\n',
    },
    finds: ['profile-changes-switch', 'profile-overrides-helper'],
    says: /\.bashrc:\d sets ANTHROPIC_(AUTH_TOKEN|BASE_URL)/,
  },
  {
    name: "an app left its variables in fish's conf.d",
    source: 'https://github.com/janhq/jan/pull/8451',
    shell: 'fish',
    files: {
      '.config/fish/conf.d/app-claude-code.fish':
        'set -gx ANTHROPIC_BASE_URL "http://127.0.0.1:9"\nset -gx ANTHROPIC_AUTH_TOKEN "app-0123456789abcdef"\n',
    },
    finds: ['profile-changes-switch', 'profile-overrides-helper'],
    says: /conf\.d\/app-claude-code\.fish:\d sets ANTHROPIC_/,
  },
  {
    name: 'what a relay service has people append to config.fish',
    source: 'https://github.com/Wei-Shaw/claude-relay-service/issues/311',
    shell: 'fish',
    files: {
      '.config/fish/config.fish':
        'if status is-interactive\n    abbr -a g git\nend\nset -x ANTHROPIC_BASE_URL "http://127.0.0.1:9/api"\nset -x ANTHROPIC_AUTH_TOKEN "cr_0123456789abcdef0123"\n',
    },
    finds: ['profile-changes-switch', 'profile-overrides-helper'],
    says: /config\.fish:\d sets ANTHROPIC_/,
  },
  {
    name: 'fish asks the keychain for the key at every start',
    source: 'https://github.com/toriumi0118/dotfiles/blob/HEAD/.config/fish/config.fish',
    shell: 'fish',
    files: {
      '.config/fish/config.fish':
        'if status is-interactive\n    set --export EDITOR nvim\nend\nset --export ANTHROPIC_API_KEY $(security find-generic-password -s "ANTHROPIC_API_KEY" -w)\n',
      'programs/security': [`#!/bin/sh\necho ${OLD}\n`, 0o755],
    },
    finds: ['profile-overrides-helper'],
    says: /config\.fish:4 sets ANTHROPIC_API_KEY, computed/,
  },
  {
    name: 'fish asks a password manager in its interactive block',
    source: 'https://github.com/gankoji/dotfiles/blob/HEAD/.config/fish/config.fish',
    shell: 'fish',
    files: {
      '.config/fish/config.fish':
        'if status is-interactive\n    set -gx EDITOR nvim\n    set -gx ANTHROPIC_API_KEY $(gopass show ai/anthropic-key)\n    fish_vi_key_bindings\nend\n',
      'programs/gopass': [`#!/bin/sh\necho ${OLD}\n`, 0o755],
    },
    finds: ['profile-overrides-helper'],
    says: /config\.fish:3 sets ANTHROPIC_API_KEY, computed/,
  },
  {
    name: 'a reference of a password manager in .zshenv, beside ZDOTDIR',
    source: 'https://github.com/RoryLawless/dotfiles/blob/HEAD/.zshenv',
    shell: 'zsh',
    files: {
      '.zshenv':
        '#!/usr/bin/env zsh\nexport ZDOTDIR="$HOME/.zsh"\nexport ANTHROPIC_API_KEY="op://Private/Claude API Key/credential"\n',
      '.zsh/.zshrc': ':\n',
    },
    finds: ['profile-overrides-helper'],
    says: /\.zshenv:3 sets ANTHROPIC_API_KEY/,
  },
  {
    name: 'a private file turns Bedrock on, and sets a key as well',
    source: 'https://github.com/ipruning/dotfiles/blob/HEAD/config/shell/env.private.tpl.zsh',
    shell: 'zsh',
    files: {
      '.zshrc': 'for f in ~/config/shell/*.zsh(N); do source $f; done\n',
      'config/shell/env.private.zsh':
        'export ANTHROPIC_API_KEY="op://dev/Anthropic/macos/ANTHROPIC_API_KEY"\nexport LLM_KEY=$LLM\nexport CLAUDE_CODE_USE_BEDROCK=1\n',
    },
    finds: ['profile-changes-switch', 'profile-overrides-helper'],
    says: /env\.private\.zsh:\d sets (CLAUDE_CODE_USE_BEDROCK|ANTHROPIC_API_KEY)/,
  },
  {
    name: 'a machine set up by a playbook logs in to Bedrock',
    source: 'https://github.com/toshibe678/ansible_for_wsl/blob/HEAD/templates/home/.bash_profile',
    shell: 'bash',
    isLogin: true,
    files: {
      '.bash_profile':
        'if [ -d "$HOME/bin" ] ; then\n    PATH="$HOME/bin:$PATH"\nfi\n\nexport AWS_REGION="us-east-1"\nexport CLAUDE_CODE_USE_BEDROCK=1\nexport MAX_THINKING_TOKENS=1024\n',
    },
    finds: ['profile-changes-switch'],
    says: /\.bash_profile:6 sets CLAUDE_CODE_USE_BEDROCK=1/,
  },
  {
    name: 'a function for another model was called in this shell',
    source: 'https://github.com/siteboon/claudecodeui/issues/132',
    shell: 'bash',
    env: { ANTHROPIC_API_KEY: 'or-0123456789abcdef0123456789' },
    files: {
      '.bashrc':
        'glm() {\n  export ANTHROPIC_BASE_URL="https://proxy.example.com"\n  export ANTHROPIC_API_KEY="or-0123456789abcdef0123456789"\n  claude "$@"\n}\n',
    },
    finds: ['variable-overrides-helper'],
    says: /ANTHROPIC_API_KEY is set in \S+\.bashrc:3/,
    stays: ['.bashrc'],
  },
  {
    name: "an application's .env, loaded by direnv",
    source: `${ISSUES}/12047`,
    shell: 'zsh',
    env: { ANTHROPIC_API_KEY: OLD, DIRENV_FILE: '{HOME}/project/.envrc' },
    files: {
      'project/.envrc': 'dotenv\n',
      'project/.env': `# of the application\nANTHROPIC_API_KEY=${OLD}\nPORT=3000\n`,
    },
    finds: ['variable-overrides-helper'],
    says: /ANTHROPIC_API_KEY is set in \S+project\/\.env:2/,
  },
  {
    name: "a course's setup script, sourced from .bashrc",
    source: 'https://github.com/astrostubbs/GenAI-for-Scholarship/blob/HEAD/trainingsetup.sh',
    shell: 'bash',
    files: {
      '.bashrc': 'source ~/trainingsetup.sh\n',
      'trainingsetup.sh':
        '#!/bin/bash\nexport ANTHROPIC_BEDROCK_BASE_URL=http://127.0.0.1:9/v2\nexport ANTHROPIC_API_KEY=YourKeyHere\nexport CLAUDE_CODE_SKIP_BEDROCK_AUTH=1\nexport CLAUDE_CODE_USE_BEDROCK=1\n',
    },
    finds: ['profile-changes-switch', 'profile-overrides-helper'],
    says: /trainingsetup\.sh:\d sets /,
  },
  {
    name: "a local manager's key and address",
    source: 'https://github.com/lbjlaq/Antigravity-Manager/issues/518',
    shell: 'zsh',
    files: { '.zshrc': 'export ANTHROPIC_API_KEY="sk-antigravity"\nexport ANTHROPIC_BASE_URL="http://127.0.0.1:9"\n' },
    finds: ['profile-changes-switch', 'profile-overrides-helper'],
    says: /\.zshrc:\d sets ANTHROPIC_/,
  },
  {
    name: 'a placeholder token that was to keep the login page away',
    source: 'https://github.com/guyskk/claude-code-config-switcher/pull/4',
    shell: 'bash',
    files: {
      '.bashrc':
        'if [ -z "$ANTHROPIC_AUTH_TOKEN" ]; then\n  export ANTHROPIC_AUTH_TOKEN=PLEASE_SET_ANTHROPIC_AUTH_TOKEN\nfi\n',
    },
    finds: ['profile-overrides-helper'],
    says: /\.bashrc:2 sets ANTHROPIC_AUTH_TOKEN/,
  },
  {
    name: 'an installer dropped the execute permission of a script',
    source: `${ISSUES}/38997`,
    shell: 'bash',
    files: { 'helper.sh': ['#!/bin/sh\nK={GOOD}\necho "$K"\n', 0o644] },
    finds: ['helper-not-executable'],
    says: /helper\.sh is not executable/,
  },
  {
    name: 'a helper with Windows line ends',
    source: `${ISSUES}/13708`,
    shell: 'bash',
    files: { 'helper.sh': ['#!/bin/sh\r\nK={GOOD}\r\necho "$K"\r\n', 0o755] },
    finds: ['helper-crlf'],
    says: /helper\.sh has Windows line ends/,
  },
  {
    name: "the helper's own program is not there",
    source: `${ISSUES}/11587`,
    shell: 'bash',
    files: { 'helper.sh': ['#!/bin/sh\nexec corporate-key-tool print\n', 0o755] },
    finds: ['helper-fails'],
    says: /failed with exit code 127/,
    hand: {
      what: 'installed the program',
      do: (home) => void home.write('programs/corporate-key-tool', '#!/bin/sh\nK={GOOD}\necho "$K"\n', 0o755),
    },
  },
  {
    name: "an MCP server's headersHelper is a relative path",
    source: `${ISSUES}/68229`,
    shell: 'bash',
    files: {
      '.claude.json': JSON.stringify({
        mcpServers: { demo: { type: 'http', url: 'http://127.0.0.1:9/mcp', headersHelper: 'scripts/get-headers.sh' } },
      }),
      'plugin/scripts/get-headers.sh': ['#!/bin/sh\necho \'{"x-a":"b"}\'\n', 0o755],
    },
    finds: ['sibling-missing', 'sibling-relative'],
    says: /headersHelper of the MCP server "demo"/,
    hand: {
      what: 'wrote the absolute path',
      do: (home) =>
        void home.write(
          '.claude.json',
          JSON.stringify({
            mcpServers: {
              demo: {
                type: 'http',
                url: 'http://127.0.0.1:9/mcp',
                headersHelper: home.path('plugin/scripts/get-headers.sh'),
              },
            },
          }),
        ),
    },
    isWorkingBefore: true,
  },
  {
    name: 'settings were written where the client does not look',
    source: `${ISSUES}/79952`,
    shell: 'zsh',
    env: { CLAUDE_CONFIG_DIR: '{HOME}/.config/claude' },
    files: {
      '.zshrc': 'export CLAUDE_CONFIG_DIR="$HOME/.config/claude"\n',
      '.claude/settings.json': settings({}),
      '.config/claude/.claude.json': '{}',
    },
    finds: ['config-dir-hides-helper'],
    says: /CLAUDE_CONFIG_DIR leads elsewhere/,
  },
  {
    name: 'awsCredentialExport gives another format than the client takes',
    source: `${ISSUES}/3823`,
    shell: 'bash',
    files: { '.claude/settings.json': settings({ awsCredentialExport: '{HOME}/bin/broker-key anthropic' }) },
    finds: ['sibling-format'],
    says: /awsCredentialExport asks the broker for a bare key/,
    isWorkingBefore: true,
  },
];
