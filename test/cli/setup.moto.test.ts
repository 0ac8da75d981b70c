import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MOTO, REGION, secretsManagerKeeper, ssmKeeper } from '../aws/moto-services.ts';
import { hasServiceManager, SetupHome } from '../fakes/setup-home.ts';
import { BrokerTerminal, hasTmux } from '../fakes/tmux.ts';

const KEY = 'sk-ant-api03-canary-0123456789';
const SECRET = 'wizard/claude';
const PARAMETER = '/wizard/claude';

let home: SetupHome;
let terminal: BrokerTerminal;

beforeEach(async () => {
  await secretsManagerKeeper.create(SECRET, JSON.stringify({ note: 'for us', api_key: KEY }));
  await ssmKeeper.create(PARAMETER, KEY);
  home = new SetupHome();
  terminal = new BrokerTerminal();
  home.folderFor('.aws');
  const keys = 'aws_access_key_id = AKIAWIZARD\naws_secret_access_key = canary-secret\n';
  writeFileSync(join(home.folder, '.aws', 'config'), `[profile dev]\nregion = ${REGION}\n`, { mode: 0o600 });
  writeFileSync(join(home.folder, '.aws', 'credentials'), `[dev]\n${keys}`, { mode: 0o600 });
});

afterEach(async () => {
  await terminal.close();
  await home.close();
  await secretsManagerKeeper.delete(SECRET);
  await ssmKeeper.delete(PARAMETER);
});

async function expectWorkingHelper(): Promise<void> {
  const { apiKeyHelper } = JSON.parse(readFileSync(home.settings, 'utf8')) as { apiKeyHelper: string };
  expect(await home.shell(apiKeyHelper)).toEqual({ code: 0, stdout: `${KEY}\n`, stderr: '' });
}

describe.runIf(hasTmux())('setup at a terminal, against a real implementation of AWS', () => {
  it('leads from the profiles of the machine to a working helper', async () => {
    const env = { ...home.env, AWS_PROFILE: 'dev', AWS_ENDPOINT_URL: MOTO };
    await terminal.run(['setup'], env, home.folder);
    await terminal.until('AWS: profiles dev');
    // With profiles and no VAULT_ADDR, AWS is what is suggested.
    await terminal.until('Where does the key live?');
    await terminal.press('Enter');
    await terminal.until('AWS profile');
    await terminal.press('Enter');
    await terminal.until('Region of the secret');
    await terminal.press('Enter');
    await terminal.until('Name or ARN of the secret');
    await terminal.answer('wizard/nothing');
    await terminal.until(/wizard\/nothing.* does not exist/);
    await terminal.until('What now?');
    await terminal.press('Enter');
    await terminal.until(/(Name or ARN of the secret[\s\S]*){2}/);
    await terminal.answer(SECRET);
    await terminal.until('Name for this credential?');
    await terminal.press('Enter');
    await terminal.until('Which value of the secret is the key?');
    await terminal.press('Down', 'Enter');
    await terminal.until('Let the API itself say');
    await terminal.press('Enter');
    await terminal.until('Add apiKeyHelper to which settings');
    await terminal.press('Enter');
    await terminal.until('Only for Claude Code itself');
    await terminal.press('Enter');
    if (hasServiceManager()) {
      await terminal.until('Install the daemon as a service');
      await terminal.press('n');
    }
    await terminal.until('Go ahead?');
    await terminal.press('y');
    expect(await terminal.exitCode()).toBe(0);
    const screen = await terminal.screen();
    expect(screen).toContain('Ready: ');
    expect(screen).not.toContain('canary');
    await expectWorkingHelper();
    expect(readFileSync(home.config, 'utf8')).toContain(`profile = "dev"\nendpoint = "${MOTO}"`);
  });
});

describe('setup in a script, against a real implementation of AWS', () => {
  it.each([
    ['aws-secrets-manager', ['--secret-id', SECRET, '--field', 'api_key']],
    ['aws-ssm', ['--parameter', PARAMETER]],
  ])('%s', async (kind, source) => {
    const how = ['--provider', kind, '--profile', 'dev', '--region', REGION, '--endpoint', MOTO];
    expect(await home.broker('setup', ...how, ...source, '--no-service')).toMatchObject({ code: 0 });
    await expectWorkingHelper();
    const doctor = JSON.parse((await home.broker('doctor', '--json')).stdout) as { modes: { winner: string }[] };
    expect(doctor.modes.map(({ winner }) => winner)).toEqual(['helper', 'helper', null]);
  });
});
