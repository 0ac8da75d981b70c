import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { helperPath } from '../../src/platform/native.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';

const COLD = `
default = "warm"
[providers.tool]
type = "exec"
[credentials.warm]
provider = "tool"
command = ["echo", "sk-warm"]
[credentials.cold]
provider = "tool"
command = ["sleep", "30"]
`;

let home: BrokerHome;
afterEach(() => home.close());

/** The lines of a log that are worse than information. */
const complaints = (log: string) => log.split('\n').filter((line) => /"level":"(?:warn|error|fatal)"/.test(line));

describe('a client that gives up', () => {
  it.each(['SIGINT', 'SIGKILL'] as const)('by %s is no error of the daemon', async (signal) => {
    home = new BrokerHome(`${COLD}[daemon]\nlog_level = "debug"\n`);
    const daemon = await home.start();
    const helper = spawn(helperPath() ?? '', ['cold'], { env: home.env });
    await expect.poll(async () => (await home.get('/v1/status')).body).toContain('"waiting"');
    helper.kill(signal);
    await once(helper, 'close');
    await daemon.whenLogged('a client gave up before there was an answer');
    expect(complaints(daemon.log)).toEqual([]);
    expect(await home.key('warm')).toMatchObject({ code: 0 });
  });
});
