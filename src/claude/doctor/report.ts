import { styleText } from 'node:util';
import type { Verdict } from '../../platform/attestation.ts';
import { scrub } from '../../platform/text.ts';
import { exitCodeOf, type Finding, type Severity } from '../checks/check.ts';
import { originText } from '../settings/effective.ts';
import { isSecretVariable, SECRET_VARIABLES } from '../shell/variables.ts';
import type { AuthMethod, ModeOutcome } from './auth-chain.ts';
import type { Facts } from './gather.ts';
import type { MethodId } from './request.ts';

export interface DoctorReport {
  readonly facts: Facts;
  readonly findings: readonly Finding[];
}

const MODES: Record<ModeOutcome['mode'], string> = { interactive: 'terminal', print: '-p', bare: '--bare' };
const MARKS: Record<Severity, string> = { error: 'fails', warning: 'warning', info: 'note' };
const COLOURS = { error: 'red', warning: 'yellow', info: 'cyan' } as const;

/** What `broker doctor` prints: the chain, what each request carries, then the findings. */
export function reportText({ facts, findings }: DoctorReport, colour: boolean): string {
  const { methods } = facts.chain;
  const outcomes = Object.values(facts.chain.outcomes);
  const paint = (format: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(format, text, { validateStream: false }) : text;
  const lines = [paint('bold', 'How Claude Code logs in here, the strongest first')];
  for (const method of methods) {
    const wins = outcomes.filter(({ winner }) => winner === method.id).map(({ mode }) => MODES[mode]);
    const mark = method.present ? (wins.length > 0 ? '*' : '+') : '-';
    const winning = wins.length === 0 ? '' : paint('green', `  <- wins: ${wins.join(', ')}`);
    lines.push(`  ${mark} ${method.label.padEnd(36)} ${sourceOf(method)}${winning}`);
  }
  lines.push('', paint('bold', 'What a request carries'));
  for (const outcome of outcomes) {
    const headers =
      outcome.winner === undefined
        ? `nothing: ${outcome.end?.why ?? 'not logged in'}`
        : `x-api-key: ${carried(methods, outcome.xApiKey)} · Authorization: ${carried(methods, outcome.authorization)}`;
    lines.push(
      `    ${MODES[outcome.mode].padEnd(10)} ${headers}${outcome.note === undefined ? '' : ` (${outcome.note})`}`,
    );
  }
  if (facts.run !== undefined) {
    lines.push(
      `    the helper took ${facts.run.ms} ms${facts.run.shown === undefined ? '' : ` and gave ${facts.run.shown}`}`,
    );
  }
  if (facts.shell?.outcome === 'answered') {
    const names = [...facts.shell.exports.keys()].sort();
    lines.push('', `A new ${facts.shell.program} exports ${names.join(', ') || 'nothing that the client looks at'}`);
  }
  const { proof } = facts.allow;
  if (proof !== undefined)
    lines.push(`    to \`allow\`, its helper call is ${judged(proof.helper)}, and its hook's ${judged(proof.hook)}`);
  if (facts.others.length > 0) lines.push('', paint('bold', 'Other clients on this machine'));
  const width = Math.max(15, ...facts.others.map(({ name }) => name.length + 1));
  for (const { name, uses } of facts.others) lines.push(`    ${name.padEnd(width)} ${uses}`);
  lines.push('');
  for (const { id, severity, title, cost, remedy } of findings) {
    lines.push(
      `${paint(COLOURS[severity], `${MARKS[severity]}: ${title}`)} [${id}]`,
      `    cost: ${cost}`,
      `    do:   ${remedy}`,
    );
  }
  const { errors, warnings } = countOf(findings);
  lines.push(
    errors + warnings === 0
      ? 'nothing is wrong'
      : `${errors} will fail, ${warnings} to look at; each is explained by: broker help doctor`,
  );
  return scrub(`${lines.join('\n')}\n`, secretsIn(facts));
}

/** The same as data; times and versions of its shape are told by `version`. */
export function reportJson({ facts, findings }: DoctorReport): string {
  const report = {
    version: 1,
    methods: facts.chain.methods.map(({ id, label, present, origin, shown }) => ({
      id,
      label,
      present,
      source: present ? originText(origin) : null,
      file: origin?.file ?? null,
      line: origin?.line ?? null,
      shown: shown ?? null,
    })),
    modes: Object.values(facts.chain.outcomes).map(({ mode, winner, xApiKey, authorization, helper, end, note }) => ({
      mode,
      winner: winner ?? null,
      headers: { 'x-api-key': xApiKey ?? null, authorization: authorization ?? null },
      helper: helper ?? null,
      ends: end?.why ?? null,
      note: note ?? null,
    })),
    client:
      facts.client === undefined ? null : { version: facts.client.version ?? null, login: facts.client.login ?? null },
    settings: facts.input.settings.map(({ scope, file, state }) => ({ scope, file, state })),
    helper:
      facts.run === undefined
        ? null
        : {
            ms: facts.run.ms,
            outcome: facts.run.outcome,
            exitCode: facts.run.exitCode ?? null,
            shown: facts.run.shown ?? null,
          },
    shell:
      facts.shell === undefined
        ? null
        : {
            program: facts.shell.program,
            outcome: facts.shell.outcome,
            exports: [...facts.shell.exports.keys()].sort(),
          },
    broker:
      facts.broker.status === undefined
        ? null
        : { version: facts.broker.status.daemon.version, socket: facts.broker.status.daemon.socket },
    allow: {
      words: facts.allow.words,
      lines: facts.allow.enrolment.lines.length,
      client: facts.allow.client ?? null,
      proof:
        facts.allow.proof === undefined
          ? null
          : { helper: judged(facts.allow.proof.helper), hook: judged(facts.allow.proof.hook) },
    },
    otherClients: facts.others.map(({ name, file, uses, asksBroker, credential, traps }) => ({
      name,
      file: file ?? null,
      uses,
      asksBroker,
      credential: credential ?? null,
      inTheWay: traps.map(({ id }) => id),
    })),
    findings: findings.map(({ fix, ...finding }) => ({
      ...finding,
      where: finding.where ?? null,
      fixable: fix !== undefined,
    })),
    exitCode: exitCodeOf(findings),
  };
  const secrets = secretsIn(facts);
  const text = JSON.stringify(report, (_, value) => (typeof value === 'string' ? scrub(value, secrets) : value), 2);
  return `${text}\n`;
}

/** Everything that was read and may be a secret. */
export function secretsIn({ input, shell }: Facts): string[] {
  const secrets = new Set<string>(SECRET_VARIABLES.map((name) => input.environment[name] ?? ''));
  for (const { env } of input.settings) {
    for (const [name, { value }] of env) if (isSecretVariable(name) && !/^\d*$/.test(value)) secrets.add(value);
  }
  for (const { assignments } of input.profiles) {
    for (const { name, value } of assignments) if (isSecretVariable(name) && value !== undefined) secrets.add(value);
  }
  for (const [name, value] of shell?.exports ?? []) if (isSecretVariable(name)) secrets.add(value);
  return [...secrets].filter((secret) => secret.trim().length >= 8);
}

function judged(verdict: Verdict | undefined): string {
  if (verdict === undefined) return 'not seen';
  return verdict.allowed ? 'served' : `refused (${verdict.clause})`;
}

function sourceOf({ present, origin, shown, id }: AuthMethod): string {
  if (!present) return 'not there';
  const what = shown === undefined || id === 'cloud' ? '' : `, ${shown}`;
  return `${originText(origin)}${what}`;
}

function carried(methods: readonly AuthMethod[], source: MethodId | undefined): string {
  if (source === undefined) return 'nothing';
  if (source === 'cloud') return "the cloud's own";
  return methods.find(({ id }) => id === source)?.label ?? source;
}

function countOf(findings: readonly Finding[]): { errors: number; warnings: number } {
  const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length;
  return { errors: count('error'), warnings: count('warning') };
}
