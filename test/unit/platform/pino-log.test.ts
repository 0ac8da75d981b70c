import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../src/errors.ts';
import { chooseLogFormat, createPinoLog, type LogFormat } from '../../../src/platform/pino-log.ts';

async function collect(format: LogFormat, level: 'debug' | 'info' = 'info') {
  const lines: string[] = [];
  return { lines, log: await createPinoLog({ format, level, write: (line) => lines.push(line) }) };
}

it('writes one JSON line per entry, with bindings, from the level on', async () => {
  const { lines, log } = await collect('json');
  log.child({ credential: 'anthropic' }).info({ version: '3' }, 'refreshed');
  log.debug({}, 'unseen');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'info',
    credential: 'anthropic',
    version: '3',
    msg: 'refreshed',
    time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
  });
  log.level = 'debug';
  log.debug({}, 'seen');
  expect(lines).toHaveLength(2);
});

it('gives the journal its levels', async () => {
  const { lines, log } = await collect('journal', 'debug');
  for (const level of ['error', 'warn', 'info', 'debug'] as const) log[level]({}, level);
  expect(lines.map((line) => line.slice(0, 4))).toEqual(['<3>{', '<4>{', '<6>{', '<7>{']);
});

it('is readable on a terminal', async () => {
  const { lines, log } = await collect('pretty');
  log.warn({ credential: 'anthropic' }, 'Vault is away');
  expect(lines.join('')).toMatch(/WARN.*Vault is away[\s\S]*credential: "anthropic"/);
});

describe('redaction', () => {
  it('covers what is likely to be a secret by its name', async () => {
    const { lines, log } = await collect('json');
    log.info({ token: 'hvs.1', login: { password: 'hvs.2', deep: { secret_id: 'hvs.3' } }, key: 'hvs.4' }, 'x');
    expect(lines.join('')).not.toContain('hvs.');
  });

  it('covers what looks like a secret in a message or a field, however deep', async () => {
    const { lines, log } = await collect('json');
    log.info({ reason: 'not hvs.canary-1', more: { deep: ['sk-ant-canary-2'] } }, 'it said hvs.canary-3');
    log.error({ err: new BrokerError('ERR_IO', 'cannot read hvs.canary-4') }, 'failed');
    expect(lines).toHaveLength(2);
    expect(lines.join('')).not.toContain('canary');
  });

  it('covers everything that a library hangs on its errors, causes included', async () => {
    const { lines, log } = await collect('json');
    const foreign = Object.assign(new Error('request with hvs.1 failed'), {
      code: 'ECONNRESET',
      config: { headers: { 'X-Vault-Token': 'hvs.2' } },
      response: { data: 'hvs.3' },
    });
    log.error({ err: new BrokerError('ERR_IO', 'cannot read', { remedy: 'mend it', cause: foreign }) }, 'failed');
    expect(lines.join('')).not.toContain('hvs.');
    expect(JSON.parse(lines[0] ?? '').err).toMatchObject({
      code: 'ERR_IO',
      message: 'cannot read',
      remedy: 'mend it',
      cause: { code: 'ECONNRESET', stack: expect.stringContaining('pino-log.test.ts') as string },
    });
  });
});

it('chooses the format for whoever reads it', () => {
  expect(chooseLogFormat({ env: {}, isTty: false, journal: false })).toBe('json');
  expect(chooseLogFormat({ env: {}, isTty: true, journal: false })).toBe('pretty');
  expect(chooseLogFormat({ env: {}, isTty: true, journal: true })).toBe('journal');
  expect(chooseLogFormat({ env: { JOURNAL_STREAM: '1:2' }, isTty: false, journal: false })).toBe('json');
});
