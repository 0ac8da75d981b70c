import { expect, it } from 'vitest';
import { ProviderError } from '../../../src/errors.ts';
import { BrokerHarness } from '../../fakes/harness.ts';

it('what a provider overlooked in its own words reaches no error, event or status', async () => {
  const world = new BrokerHarness({ credentials: [{ name: 'c', engine: { kind: 'static' } }] });
  const error = new ProviderError('denied', 'the server said hvs.canary-12345', { remedy: 'ask for sk-ant-canary' });
  world.provider().trouble = () => ({ error });
  const refused: unknown = await world.broker.refresh('c').catch((fault: unknown) => fault);
  expect(refused).toMatchObject({
    code: 'ERR_DENIED',
    kind: 'denied',
    message: 'the server said [redacted]',
    remedy: 'ask for [redacted]',
  });
  const seen = JSON.stringify([world.broker.status(), world.broker.events({ limit: 99 })]);
  expect(seen).toContain('the server said [redacted]');
  expect(seen).not.toContain('canary');
});
