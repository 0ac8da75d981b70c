import { type Check, check } from './check.ts';

/** What `--bare`, the editor, Desktop, Remote Control and the agent's own shell make of the helper. */
export const appChecks: readonly Check[] = [
  check({
    id: 'oauth-token-bare',
    severity: 'warning',
    when: ({ chain: { outcomes } }) =>
      outcomes.print.winner === 'oauth-token' && outcomes.bare.winner !== 'oauth-token',
    title: 'CLAUDE_CODE_OAUTH_TOKEN is what logs you in, and --bare ignores it',
    cost: 'claude --bare ends with "Not logged in"; the token is for inference only anyway',
    remedy: 'for --bare use a helper: broker claude install --settings FILE, then claude --bare --settings FILE',
  }),
  check({
    id: 'helper-ignored-by-bare',
    severity: 'info',
    when: ({ chain: { outcomes }, homeDir }) =>
      outcomes.print.winner === 'helper' && outcomes.bare.winner !== 'helper' && `${homeDir}/.config/broker/bare.json`,
    title: 'claude --bare ignores this apiKeyHelper',
    cost: 'scripts and CI with --bare end with "Not logged in"',
    remedy: (file) =>
      `give it a file of its own: broker claude install --settings ${file}, then start claude --bare --settings ${file}`,
  }),
  check({
    id: 'editor-ignores-helper',
    severity: 'info',
    when: ({ apps, helper }) => helper && apps.editor,
    title: 'the editor extension of Claude Code is installed',
    cost: 'it has ignored apiKeyHelper and made a Console key of its own (anthropics/claude-code issue 38314)',
    remedy: 'run claude in the terminal of the editor, or log in to the extension separately',
    where: (folder) => folder,
  }),
  check({
    id: 'desktop-ignores-helper',
    severity: 'info',
    when: ({ apps, helper, others }) =>
      helper && !others.some(({ name, asksBroker }) => name === 'Claude Desktop' && asksBroker) && apps.desktop,
    title: 'Claude Desktop is installed',
    cost: 'Desktop and remote sessions log in with OAuth only and ignore apiKeyHelper and all variables',
    remedy: 'log in to Desktop separately; no setting of the terminal client changes that',
    where: (folder) => folder,
  }),
  check({
    id: 'remote-control-off',
    severity: 'info',
    when: ({ chain, input }) =>
      (input.login.subscription ?? input.login.consoleKey) !== undefined &&
      ['helper', 'api-key'].includes(chain.outcomes.interactive.winner ?? ''),
    title: 'Remote Control is off while a key logs in',
    cost: 'it needs the login that you have, and a key comes first (anthropics/claude-code issue 58127)',
    remedy: 'where you want Remote Control, start claude with a CLAUDE_CONFIG_DIR that sets no apiKeyHelper',
  }),
  check({
    id: 'agent-can-read-key',
    severity: 'info',
    when: ({ helper, input, allow }) =>
      helper?.ours &&
      allow.words.length === 0 &&
      !input.settings.some(
        ({ state, denied }) => state === 'in-effect' && denied.some((rule) => rule.startsWith('Bash(broker-key')),
      ),
    title: 'the agent may run the helper itself',
    cost: 'a prompt injection can make it print the key into the conversation',
    remedy: 'on Linux: broker claude install --guard; elsewhere add deny rules: broker claude install --deny-rules',
  }),
];
