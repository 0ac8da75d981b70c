import type { Facts } from '../doctor/gather.ts';
import { mergedSandbox } from '../settings/sandbox.ts';
import { type Check, check } from './check.ts';
import { installCommand } from './helper.ts';

const DOCS = 'broker help allow';

/** `allow`: whether the client's own calls are served, what was refused lately, and the client's sandbox, which is the boundary. */
export const allowChecks: readonly Check[] = [
  check({
    id: 'allow-line-missing',
    severity: 'error',
    when: ({ allow, helper }) =>
      isAllowed(allow) && helper?.ours && !allow.enrolment.lines.some(({ line }) => line === helper.command) && helper,
    title: (_, { broker, allow: { enrolment } }) =>
      enrolment.flaw === undefined
        ? `"${broker.credential?.name}" has \`allow\`, and this apiKeyHelper is not a line that is recorded for it`
        : `what is recorded for \`allow\` does not count: ${enrolment.flaw.reason}`,
    cost: 'the client is refused its key',
    remedy: (helper, { allow: { enrolment } }) =>
      enrolment.flaw?.remedy ?? `write the line again: ${installCommand(helper)}`,
    where: ({ where }) => where,
  }),
  check({
    id: 'allow-client-unknown',
    severity: 'warning',
    when: ({ allow }) => isAllowed(allow) && allow.client?.isKnown === false && allow.client,
    title: ({ path }) => `${path} is not known as Claude Code`,
    cost: 'a client that runs from there is refused its key',
    remedy: (_, { helper }) => `enrol it, and again after each update: ${installCommand(helper)} --guard`,
  }),
  check({
    id: 'allow-not-served',
    severity: 'error',
    when: ({ allow: { proof } }) => proof?.helper?.allowed === false && proof.helper,
    title: ({ taken, why }) => `this client's helper call would be refused: taken for ${taken}: ${why}`,
    cost: 'a credential with `allow` is of no use with it',
    remedy: ({ clause, remedy }) =>
      clause === 'nested' ? 'run broker doctor --guard in a terminal of your own, outside of any client' : remedy,
  }),
  check({
    id: 'allow-hook-served',
    severity: 'error',
    when: ({ allow: { proof } }) => proof?.hook?.allowed === true && proof,
    title: ({ client }) => `${client} runs its hooks in its own session: the rule cannot tell them from its helpers`,
    cost: 'a hook or a command of the agent may get the key in spite of `allow`',
    remedy: 'use another version of the client, and tell us: this one was not expected',
  }),
  check({
    id: 'allow-unproven',
    severity: 'warning',
    when: ({ allow: { proof, wantsProof } }) =>
      wantsProof && (proof?.helper === undefined || proof.hook === undefined) && { proof },
    title: ({ proof }) =>
      proof === undefined
        ? 'the rule of `allow` could not be tried: there is no client on PATH, or no native addon'
        : `the rule of \`allow\` was tried in part only: ${proof.client} made no ${proof.helper === undefined ? 'helper' : 'hook'} call`,
    cost: 'whether `allow` works with this client is not known',
    remedy: 'see that `claude -p ping` starts here, then run broker doctor --guard again',
  }),
  check({
    id: 'allow-refused',
    when: ({ allow: { refusals } }) => refusals,
    severity: ({ isHonest }) => (isHonest ? 'warning' : 'info'),
    title: ({ credential, taken, clause, times, at }) =>
      `"${credential}" was refused to ${taken} (${clause}), ${times === 1 ? '' : `${times} times, last `}at ${at}`,
    cost: ({ why }) => why,
    remedy: ({ remedy, isHonest }) => (isHonest ? remedy : `nothing has to be done if that was not yours; see ${DOCS}`),
  }),
  check({
    id: 'sandbox-off',
    severity: 'info',
    when: (facts) => isAllowed(facts.allow) && sandbox(facts).enabled !== true && facts.allow,
    title: "`allow` is a guard rail, and the client's sandbox is off",
    cost: 'code that the agent runs and that sets out to get the key gets it',
    remedy: `turn it on in the client's settings with the strict values in ${DOCS}`,
  }),
  check({
    id: 'sandbox-unavailable',
    severity: (_, facts) => (sandbox(facts).failIfUnavailable === true ? 'error' : 'warning'),
    when: (facts) => isSandboxed(facts) && facts.allow.missingPrograms.length > 0 && facts.allow.missingPrograms,
    title: (program) => `the client's sandbox is on, and ${program} is not installed`,
    cost: (_, facts) =>
      sandbox(facts).failIfUnavailable === true
        ? 'the client does not start'
        : 'everything runs unsandboxed, after one warning',
    remedy: (program) => `install it: ${program === 'bwrap' ? 'bubblewrap' : program}`,
  }),
  check({
    id: 'sandbox-fails-open',
    severity: severityOf,
    when: (facts) => isSandboxed(facts) && sandbox(facts).failIfUnavailable !== true && facts.allow,
    title: "the client's sandbox fails open",
    cost: 'where it cannot be set up, everything runs unsandboxed after one warning',
    remedy: 'set sandbox.failIfUnavailable to true',
  }),
  check({
    id: 'sandbox-unsandboxed-commands',
    severity: severityOf,
    when: (facts) => isSandboxed(facts) && sandbox(facts).allowUnsandboxedCommands !== false && facts.allow,
    title: "a command may ask to run outside of the client's sandbox",
    cost: 'one approval, or a mode without approvals, and it reaches the broker',
    remedy: 'set sandbox.allowUnsandboxedCommands to false',
  }),
  check({
    id: 'sandbox-unix-sockets',
    severity: severityOf,
    when: (facts) => isSandboxed(facts) && sandbox(facts).allowAllUnixSockets === true && facts.allow,
    title: 'sandboxed commands may connect to every socket',
    cost: 'they can ask the broker as any other program can',
    remedy: 'take sandbox.network.allowAllUnixSockets out',
  }),
  check({
    id: 'sandbox-excluded',
    severity: severityOf,
    when: (facts) => isSandboxed(facts) && sandbox(facts).excludedCommands.length > 0 && sandbox(facts),
    title: ({ excludedCommands }) => `${excludedCommands.length} kinds of commands run outside of the client's sandbox`,
    cost: 'what they run reaches the broker',
    remedy: 'take sandbox.excludedCommands out',
  }),
];

function isAllowed({ words }: Facts['allow']): boolean {
  return words.length > 0;
}

function sandbox({ input }: Facts) {
  return mergedSandbox(input.settings.filter(({ state }) => state === 'in-effect'));
}

function isSandboxed(facts: Facts): boolean {
  return sandbox(facts).enabled === true;
}

/** Who relies on `allow` is to know how far it goes. */
function severityOf(_: unknown, { allow }: Facts) {
  return isAllowed(allow) ? 'warning' : 'info';
}
