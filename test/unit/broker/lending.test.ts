import { expect, test } from 'vitest';
import { BrokerHarness, type CredentialSketch, type Told } from '../../fakes/harness.ts';
import { MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const IDENTITY: CredentialSketch = {
  name: 'identity',
  engine: { kind: 'expires-at', lastsMs: 5 * MINUTE, renewedAt: 0.9 },
};
const GATEWAY: CredentialSketch = {
  name: 'gateway',
  provider: 'corp',
  engine: { kind: 'expires-at', lastsMs: 20 * MINUTE, renewedAt: 0.5 },
  borrows: 'identity',
};

const OWN = { origin: 'other' } as const;
const lineOf = ({ error }: Told) => `${error?.message}; ${error?.remedy}`;

function worldOf() {
  const world = new BrokerHarness({ credentials: [GATEWAY, IDENTITY] });
  return { world, vault: world.provider(), corp: world.provider('corp') };
}

test('a provider logs in with the key of another credential, which is fetched for it and lent as long as it lives', async () => {
  const { world, vault, corp } = worldOf();
  expect(await world.get('gateway', OWN)).toMatchObject({ state: 'fresh' });
  const identity = await world.get('identity', OWN);
  expect(corp.loginKeys).toEqual([identity.value]);
  expect(vault.count('issue', 'identity')).toBe(1);
  await world.finish(world.broker.refresh('gateway'));
  expect(vault.count('issue', 'identity')).toBe(1);
  await world.clock.advance(6 * MINUTE);
  await world.finish(world.broker.refresh('gateway'));
  expect(vault.count('issue', 'identity')).toBeGreaterThan(1);
  expect(new Set(corp.loginKeys).size).toBe(2);
  expect(world.eventKinds()).toContain('lent');
});

test('a key that is over within seconds is replaced before it is lent', async () => {
  const { world, corp } = worldOf();
  await world.get('gateway', OWN);
  await world.clock.advance(5 * MINUTE - 10 * SECOND);
  await world.finish(world.broker.refresh('gateway'));
  expect(new Set(corp.loginKeys).size).toBe(2);
});

test('a failure names both, and says what fixes the one that is broken', async () => {
  const { world, vault, corp } = worldOf();
  vault.trouble = () => ({ error: failure.loginExpired() });
  const told = await world.get('gateway', OWN);
  expect(told.code).toBe('ERR_LOGIN_EXPIRED');
  expect(lineOf(told)).toMatch(
    /provider "corp" logs in with the credential "identity", .*the login has expired.*log in again/,
  );
  expect(corp.count('issue')).toBe(0);
  const gateway = world.broker.status().credentials.find(({ name }) => name === 'gateway');
  expect(gateway?.lastError).toMatchObject({ kind: 'login-expired' });
});

test('what takes the lent key away ends the login; the key that was made with it is served on', async () => {
  const { world, vault } = worldOf();
  const first = await world.get('gateway', OWN);
  vault.trouble = () => ({ error: failure.denied() });
  await world.clock.advance(17 * MINUTE);
  expect(await world.get('gateway', OWN)).toMatchObject({ value: first.value, state: 'stale' });
  await world.clock.advance(5 * MINUTE);
  expect(await world.get('gateway', OWN)).toMatchObject({ code: 'ERR_LOGIN_EXPIRED' });
});

test('a login of the lender that a person makes lets the borrower go on at once', async () => {
  const { world, vault } = worldOf();
  let isLoggedIn = false;
  vault.trouble = () => (isLoggedIn ? undefined : { error: failure.loginRefused() });
  expect(await world.get('gateway', OWN)).toMatchObject({ code: 'ERR_LOGIN_EXPIRED' });
  expect(await world.get('gateway', OWN)).toMatchObject({ code: 'ERR_LOGIN_EXPIRED' });
  expect(vault.count('issue', 'identity')).toBe(1);
  isLoggedIn = true;
  await world.finish(world.broker.refresh('identity'));
  expect(await world.get('gateway', OWN)).toMatchObject({ state: 'fresh', tookMs: 0 });
});

test('a changed input of the lender is noticed by an ask for the borrower', async () => {
  const { world, vault } = worldOf();
  vault.inputs = ['/home/ada/token'];
  world.files.set('/home/ada/token', 'old');
  vault.trouble = () => (world.files.get('/home/ada/token') === 'new' ? undefined : { error: failure.loginRefused() });
  expect(await world.get('gateway', OWN)).toMatchObject({ code: 'ERR_LOGIN_EXPIRED' });
  world.files.set('/home/ada/token', 'new');
  expect(await world.get('gateway', OWN)).toMatchObject({ state: 'fresh', tookMs: 0 });
});

test('a lent key that is refused is read again once; a new one is used, the same one is a refused login', async () => {
  const secret: CredentialSketch = { name: 'secret', engine: { kind: 'static' } };
  const world = new BrokerHarness({ credentials: [{ ...GATEWAY, borrows: 'secret' }, secret] });
  const [vault, corp] = [world.provider(), world.provider('corp')];
  const old = world.system.place('secret')?.value ?? '';
  corp.refusedKeys.add(old);
  expect(await world.get('gateway', OWN)).toMatchObject({ code: 'ERR_LOGIN_EXPIRED' });
  expect(corp.loginKeys).toEqual([old, old]);
  const before = vault.count('issue', 'secret');
  expect(await world.get('gateway', OWN)).toMatchObject({ code: 'ERR_LOGIN_EXPIRED' });
  expect(vault.count('issue', 'secret')).toBe(before);
  world.system.rotate('secret');
  await world.finish(world.broker.refresh('secret'));
  expect(await world.get('gateway', OWN)).toMatchObject({ state: 'fresh' });
  expect(corp.loginKeys.at(-1)).not.toBe(old);
});

const never = () => ({ signal: new AbortController().signal });

test('a key for a file counts as asked for, and is refreshed ahead of its end', async () => {
  const { world, vault } = worldOf();
  const kept = await world.finish(world.broker.keep('identity', never(), undefined, false));
  expect(kept.expiresAtMs - world.clock.now()).toBeGreaterThan(4 * MINUTE);
  expect(kept.secret.reveal()).toBe((await world.get('identity', OWN)).value);
  const issued = vault.count('issue', 'identity');
  await world.clock.advance(5 * MINUTE);
  expect(vault.count('issue', 'identity')).toBeGreaterThan(issued);
  expect(world.broker.glance('identity')?.version).not.toBe(kept.version);
});

test('what somebody may have used up is replaced by another', async () => {
  const { world } = worldOf();
  const first = await world.finish(world.broker.keep('identity', never(), undefined, false));
  const same = await world.finish(world.broker.keep('identity', never(), first.version, false));
  expect(same.version).toBe(first.version);
  await world.clock.advance(SECOND);
  const other = await world.finish(world.broker.keep('identity', never(), first.version, true));
  expect(other.version).toBe(world.broker.glance('identity')?.version);
  expect(world.eventKinds().filter((kind) => kind === 'kept').length).toBeGreaterThanOrEqual(1);
});

test('a secret that was rotated is found out by its refusal, and the new one is used within the same ask', async () => {
  const secret: CredentialSketch = { name: 'secret', engine: { kind: 'static' } };
  const world = new BrokerHarness({ credentials: [{ ...GATEWAY, borrows: 'secret' }, secret] });
  const corp = world.provider('corp');
  const old = (await world.get('secret', OWN)).value ?? '';
  const next = world.system.rotate('secret');
  corp.refusedKeys.add(old);
  expect(await world.get('gateway', OWN)).toMatchObject({ state: 'fresh', tookMs: 0 });
  expect(corp.loginKeys).toEqual([old, next]);
});
