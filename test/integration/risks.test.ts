import { afterAll, expect, test } from 'vitest';
import { BrokerHome } from '../fakes/daemon-process.ts';

const home = new BrokerHome(`default = "c"
[providers.v]
type = "vault"
address = "http://vault.invalid:8200"
skip_verify = true
[credentials.c]
provider = "v"
path = "secret/data/c"
`);

afterAll(() => home.close());

test('validate, the start and the doctor say the same of a configuration that works and should not stay so', async () => {
  const said = ['in the clear', 'any certificate is accepted'];
  const { code, stderr } = await home.broker('config', 'validate');
  expect(code).toBe(0);
  const daemon = await home.start();
  expect((await home.broker('claude', 'install')).code).toBe(0);
  const doctor = await home.broker('doctor', '--json', '--no-run-helper');
  const { findings } = JSON.parse(doctor.stdout) as { findings: { id: string; title: string; where: string }[] };
  const risks = findings.filter(({ id }) => id === 'broker-config-risk');
  for (const [words, at] of said.map((each, index) => [each, index] as const)) {
    expect(stderr).toContain(words);
    expect(daemon.log).toContain(words);
    expect(risks[at]?.title).toContain(words);
    expect(risks[at]?.where).toBe(`${home.configFile}:${4 + at}`);
  }
});
