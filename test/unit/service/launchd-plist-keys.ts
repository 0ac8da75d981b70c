/** A type of launchd.plist(5): what is wrong with a value, nothing if it is right. */
type Kind = (value: unknown) => string | undefined;

const simple =
  (what: string, fits: (value: unknown) => boolean): Kind =>
  (value) =>
    fits(value) ? undefined : `: not ${what}`;

const string = simple('a string', (value) => typeof value === 'string');
const boolean = simple('a boolean', (value) => typeof value === 'boolean');
const integer = simple('an integer', Number.isSafeInteger);
const strings = simple(
  'an array of strings',
  (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'),
);
const isDictionary = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const anyDictionary = simple('a dictionary', isDictionary);
const dictionaryOf = (kind: Kind, what: string) =>
  simple(what, (value) => isDictionary(value) && Object.values(value).every((one) => kind(one) === undefined));
const oneOf = (...words: string[]) =>
  simple(`one of ${words.join(', ')}`, (value) => words.some((word) => word === value));

/** Any of them; a dictionary is judged by the kind that knows its keys. */
const either =
  (first: Kind, dictionary: Kind): Kind =>
  (value) =>
    isDictionary(value) ? dictionary(value) : first(value);

const withKeys =
  (keys: Readonly<Record<string, Kind>>): Kind =>
  (value) =>
    isDictionary(value) ? judge(value, keys)[0] : ': not a dictionary';

const limits = withKeys(
  Object.fromEntries(
    [
      'Core',
      'CPU',
      'Data',
      'FileSize',
      'MemoryLock',
      'NumberOfFiles',
      'NumberOfProcesses',
      'ResidentSetSize',
      'Stack',
    ].map((name) => [name, integer]),
  ),
);

const keepAlive = withKeys({
  SuccessfulExit: boolean,
  NetworkState: boolean,
  Crashed: boolean,
  PathState: dictionaryOf(boolean, 'a dictionary of booleans'),
  OtherJobEnabled: dictionaryOf(boolean, 'a dictionary of booleans'),
  AfterInitialDemand: boolean,
});

/** Every key of launchd.plist(5) as macOS 14 has it, with its type. */
const KEYS: Readonly<Record<string, Kind>> = {
  Label: string,
  Disabled: boolean,
  UserName: string,
  GroupName: string,
  inetdCompatibility: anyDictionary,
  LimitLoadToHosts: strings,
  LimitLoadFromHosts: strings,
  LimitLoadToSessionType: (value) => (string(value) === undefined ? undefined : strings(value)),
  LimitLoadToHardware: anyDictionary,
  LimitLoadFromHardware: anyDictionary,
  Program: string,
  BundleProgram: string,
  ProgramArguments: strings,
  EnableGlobbing: boolean,
  EnableTransactions: boolean,
  EnablePressuredExit: boolean,
  OnDemand: boolean,
  ServiceIPC: boolean,
  KeepAlive: either(boolean, keepAlive),
  RunAtLoad: boolean,
  RootDirectory: string,
  WorkingDirectory: string,
  EnvironmentVariables: dictionaryOf(string, 'a dictionary of strings'),
  Umask: (value) => (string(value) === undefined ? undefined : integer(value)),
  TimeOut: integer,
  ExitTimeOut: integer,
  ThrottleInterval: integer,
  InitGroups: boolean,
  WatchPaths: strings,
  QueueDirectories: strings,
  StartOnMount: boolean,
  StartInterval: integer,
  StartCalendarInterval: (value) => (Array.isArray(value) ? undefined : anyDictionary(value)),
  StandardInPath: string,
  StandardOutPath: string,
  StandardErrorPath: string,
  Debug: boolean,
  WaitForDebugger: boolean,
  SoftResourceLimits: limits,
  HardResourceLimits: limits,
  Nice: integer,
  ProcessType: oneOf('Background', 'Standard', 'Adaptive', 'Interactive'),
  AbandonProcessGroup: boolean,
  LowPriorityIO: boolean,
  LowPriorityBackgroundIO: boolean,
  MaterializeDatalessFiles: boolean,
  LaunchOnlyOnce: boolean,
  MachServices: anyDictionary,
  Sockets: anyDictionary,
  LaunchEvents: anyDictionary,
  SessionCreate: boolean,
  LegacyTimers: boolean,
  AssociatedBundleIdentifiers: (value) => (string(value) === undefined ? undefined : strings(value)),
};

/** What launchd would not understand of an agent. */
export function complaints(agent: unknown): readonly string[] {
  if (!isDictionary(agent)) return ['not a dictionary'];
  const missing = ['Label', 'ProgramArguments'].filter((key) => !(key in agent)).map((key) => `${key}: missing`);
  return [...missing, ...judge(agent, KEYS)].map((complaint) => complaint.replace(/^\./, ''));
}

function judge(value: object, keys: Readonly<Record<string, Kind>>): readonly string[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    const kind = keys[key];
    const fault = kind === undefined ? ': no key of launchd.plist(5)' : kind(inner);
    return fault === undefined ? [] : [`.${key}${fault}`];
  });
}
