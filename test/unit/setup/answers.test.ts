import { describe, expect, it } from 'vitest';
import { wrongWith } from '../../../src/setup/answers.ts';
import { draftOf } from '../../../src/setup/draft.ts';
import { connectionQuestions } from '../../../src/setup/kinds.ts';
import type { Machine } from '../../../src/setup/machine.ts';
import type { ProviderKind } from '../../../src/setup/questions.ts';

const machine: Machine = {
  user: 'ada',
  vault: { address: undefined, hasTokenFile: false, hasTokenVariable: false },
  aws: { profiles: [], profile: undefined, region: undefined, sso: [] },
  proxies: [],
};
const folders = { homeDir: '/home/ada', cwd: '/' };

describe('an answer', () => {
  it.each<[ProviderKind, string, string, RegExp]>([
    ['oauth2', 'issuer', 'login.example.com', /not a web address/],
    ['oauth2', 'token-endpoint', 'login.example.com', /not a web address/],
    ['vault', 'address', 'vault.example.com:8200', /begins with https/],
    ['vault', 'proxy', 'proxy', /proxy/],
    ['aws-ssm', 'region', 'x y', /region/],
  ])('of %s to %s is checked before it is known how to log in', async (provider, flag, answer, told) => {
    const question = connectionQuestions(provider, undefined).find((each) => each.flag === flag);
    if (question === undefined) throw new Error(`no question ${flag}`);
    const around = { machine, homeDir: folders.homeDir };
    const wrong = await wrongWith(question, answer, draftOf({ provider }, folders), around);
    expect(`${wrong?.message}: ${wrong?.remedy}`).toMatch(told);
  });
});
