import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AwsHome, PROFILE } from '../../conformance/aws/aws-home.ts';
import { AwsJsonServer } from '../../fakes/aws-json-server.ts';
import { BrokerHome, type RunningDaemon } from '../../fakes/daemon-process.ts';
import { DevVault } from '../../fakes/dev-vault/dev-vault.ts';
import { heapSnapshotOptions, stringsOnHeap } from '../../fakes/heap.ts';

const REFRESHES = 200;
const VALUES = {
  vault: 'sk-copies-of-vault-5Jq9TnXw',
  secrets: 'sk-copies-of-secrets-8RkLp2Zd',
  parameters: 'sk-copies-of-parameters-3VbYt7Ec',
  command: 'sk-copies-of-command-6HgMs4Au',
} as const;

const home = new BrokerHome('');
const snapshots = join(home.folder, 'snapshots');
const aws = new AwsJsonServer();
const awsHome = new AwsHome();
let vault: DevVault;
let daemon: RunningDaemon;

beforeAll(async () => {
  vault = await DevVault.start({ nowMs: Date.now });
  vault.kv.writeV2('secret/claude', { api_key: VALUES.vault });
  await aws.start();
  await awsHome.create('AKIDEXAMPLE', 'wJalrXUtnFEMI');
  aws.put('prod/claude', VALUES.secrets);
  aws.put('/prod/claude', VALUES.parameters);
  const file = join(home.folder, 'key');
  writeFileSync(file, JSON.stringify({ api_key: VALUES.command }), { mode: 0o600 });
  const amazon = `endpoint = "${aws.url}"\nregion = "eu-west-1"\nprofile = "${PROFILE}"`;
  home.configure(`default = "vault"
[providers.vault]
type = "vault"
address = "${vault.address}"
auth = { method = "token", token = "${vault.rootToken}" }
[credentials.vault]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
[providers.secrets]
type = "aws-secrets-manager"
${amazon}
[credentials.secrets]
provider = "secrets"
secret_id = "prod/claude"
[providers.parameters]
type = "aws-ssm"
${amazon}
[credentials.parameters]
provider = "parameters"
parameter = "/prod/claude"
[providers.command]
type = "exec"
command = ["/bin/cat", "${file}"]
[credentials.command]
provider = "command"
field = "api_key"
`);
  mkdirSync(snapshots);
  daemon = await home.start(awsHome.env, { nodeArgs: heapSnapshotOptions(snapshots) });
});
afterAll(async () => {
  await home.close();
  await vault.stop();
  await aws.stop();
  await awsHome.remove();
});

/** A promise that a listener kept alive kept the value that it was resolved with. */
test(`${REFRESHES} refreshes leave at most two copies of a key in the memory of the daemon`, async () => {
  await Promise.all(
    Object.keys(VALUES).map(async (name) => {
      for (let time = 0; time < REFRESHES; time += 1) {
        const { status, body } = await home.request('POST', `/v1/credentials/${name}/refresh`);
        if (status !== 200) expect.fail(body);
      }
    }),
  );
  const strings = await stringsOnHeap(daemon.pid, snapshots);
  const copies = Object.values(VALUES).map((value) => strings.filter((each) => each.includes(value)).length);
  expect(Math.max(...copies)).toBeLessThanOrEqual(2);
});
