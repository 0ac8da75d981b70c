/** The keys of launchd.plist(5) that the agent uses. */
export interface LaunchAgent {
  readonly Label: string;
  readonly ProgramArguments: readonly string[];
  readonly EnvironmentVariables: Readonly<Record<string, string>>;
  readonly RunAtLoad: boolean;
  /** Started again unless it ended by itself with 0. */
  readonly KeepAlive: { readonly SuccessfulExit: false };
  /** Seconds between two starts. */
  readonly ThrottleInterval: number;
  /** Seconds from SIGTERM to SIGKILL; the daemon takes 5 at most. */
  readonly ExitTimeOut: number;
  /**
   * Claude Code waits for its answers. Adaptive would be Background: it goes by the activity on XPC connections, of
   * which there are none. Standard throttles CPU and I/O.
   */
  readonly ProcessType: 'Interactive';
  readonly WorkingDirectory: string;
  /** Octal 077 as the number it is: a plist has no octal. */
  readonly Umask: number;
  readonly HardResourceLimits: { readonly Core: number };
  readonly SoftResourceLimits: { readonly Core: number };
  readonly StandardOutPath: string;
  readonly StandardErrorPath: string;
}

export const LABEL = 'dev.apikey-broker';

export interface AgentValues {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
}

export function launchAgent({ command, env, logFile }: AgentValues): LaunchAgent {
  return {
    Label: LABEL,
    ProgramArguments: command,
    EnvironmentVariables: env,
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: 5,
    ExitTimeOut: 8,
    ProcessType: 'Interactive',
    WorkingDirectory: '/',
    Umask: 0o077,
    HardResourceLimits: { Core: 0 },
    SoftResourceLimits: { Core: 0 },
    StandardOutPath: logFile,
    StandardErrorPath: logFile,
  };
}

type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value };

/** The agent as an XML property list. */
export function formatPlist(agent: LaunchAgent): string {
  const head =
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n';
  return `${head}<plist version="1.0">\n${element({ ...agent }, '')}</plist>\n`;
}

function element(value: Value, indent: string): string {
  if (typeof value === 'string') return `${indent}<string>${escaped(value)}</string>\n`;
  if (typeof value === 'number') return `${indent}<integer>${value}</integer>\n`;
  if (typeof value === 'boolean') return `${indent}<${value}/>\n`;
  const deeper = `${indent}  `;
  if (isList(value)) return `${indent}<array>\n${value.map((one) => element(one, deeper)).join('')}${indent}</array>\n`;
  const entries = Object.entries(value).map(
    ([key, one]) => `${deeper}<key>${escaped(key)}</key>\n${element(one, deeper)}`,
  );
  return `${indent}<dict>\n${entries.join('')}${indent}</dict>\n`;
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
