import { shellWord } from '../../errors.ts';
import { credentialAsked } from '../doctor/broker.ts';
import type { Facts, SiblingFacts } from '../doctor/gather.ts';
import { describeCommand } from '../shell/helper-command.ts';
import { type Check, check, type Severity } from './check.ts';

/** What is without the answer: a login, or something that the client can do without. */
const COSTS: Readonly<Record<SiblingFacts['format'], string>> = {
  headers: 'what it is for (telemetry, an MCP server) is refused or left out, and the client says little about it',
  aws: 'requests to Bedrock go out with other credentials or with none',
  proxy: 'the proxy answers 407, and no request leaves the machine',
};

/** The client's other helpers: there, executable, asked for the right format, for a credential that the broker has. */
export const siblingChecks: readonly Check[] = [
  siblingCheck(
    'sibling-missing',
    ({ how, found }) => how !== 'unknown' && !found,
    ({ label, how, command }) =>
      `the program of ${label} ${how === 'by name' ? 'is in no folder of PATH' : 'does not exist'}: ${describeCommand(command)}`,
    (sibling) => (sibling.ours ? reinstall(sibling) : 'install the program, or remove the line'),
  ),
  siblingCheck(
    'sibling-not-executable',
    ({ how, found, executable }) => how !== 'unknown' && found && !executable,
    ({ label, path }) => `${path}, which ${label} runs, is not executable`,
    ({ path }) => `type: chmod u+x ${shellWord(path ?? 'FILE')}`,
  ),
  siblingCheck(
    'sibling-relative',
    ({ how, settings }) => how === 'relative' && settings.scope !== 'project' && settings.scope !== 'local',
    ({ label }) => `${label} is a relative path, looked up in the folder that claude is started in`,
    (sibling) => (sibling.ours ? reinstall(sibling) : 'write its absolute path'),
  ),
  siblingCheck(
    'sibling-format',
    ({ ours, asked, format }) => ours && asked !== format,
    ({ label, asked, format }) =>
      `${label} asks the broker for ${asked === undefined ? 'a bare key' : `the format ${asked}`}, and the client takes ${SHAPES[format]} there`,
    reinstall,
  ),
  siblingCheck(
    'sibling-credential-unknown',
    ({ ours, credential }, { broker: { status } }) =>
      ours && status !== undefined && credentialAsked(status, credential) === undefined,
    ({ label, credential }) =>
      `${label} asks for ${credential === undefined ? 'the default credential, and there is none' : `the credential "${credential}", which the broker does not have`}`,
    (_, { broker }) =>
      `name one of: ${broker.status?.credentials.map(({ name }) => name).join(', ') || '(none yet: broker setup)'}`,
  ),
];

const SHAPES: Readonly<Record<SiblingFacts['format'], string>> = {
  headers: 'a JSON object of headers',
  aws: 'AWS credentials as JSON',
  proxy: 'the value of Proxy-Authorization',
};

function reinstall({ target, settings, credential }: SiblingFacts): string {
  const where = settings.scope === 'project' || settings.scope === 'flag' ? ` --settings ${settings.file}` : '';
  return `write the line again: broker claude install --for ${target}${where}${credential === undefined ? '' : ` --credential ${credential}`}`;
}

function siblingCheck(
  id: string,
  is: (sibling: SiblingFacts, facts: Facts) => boolean,
  title: (sibling: SiblingFacts) => string,
  remedy: (sibling: SiblingFacts, facts: Facts) => string,
): Check {
  return check<SiblingFacts>({
    id,
    severity: ({ format }): Severity => (format === 'headers' ? 'warning' : 'error'),
    when: (facts) => facts.siblings.filter((sibling) => is(sibling, facts)),
    title,
    cost: ({ format }) => COSTS[format],
    remedy,
    where: ({ where }) => where,
  });
}
