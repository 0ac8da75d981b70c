import { Readable } from 'node:stream';
import { type AwsJsonServer, type Behaviour, page, refuse } from '../../fakes/aws-json-server.ts';
import type { Fault, InjectedFault } from '../provider-harness.ts';

/** Everything that can go wrong between us and AWS; whatever could echo a secret does. */
export function awsFaults(server: AwsJsonServer, canary: () => string) {
  const behaviours: Partial<Record<Fault, Behaviour>> = {
    unavailable: ({ response }) => refuse(response, 503, 'ServiceUnavailable', `no ${canary()}`),
    throttled: ({ response }) =>
      refuse(response, 400, 'ThrottlingException', `Rate exceeded for ${canary()}`, { 'retry-after': '7' }),
    denied: ({ response }) =>
      refuse(response, 400, 'AccessDeniedException', `User: ${canary()} is not authorized to perform: ${canary()}`),
    misconfigured: ({ response }) => refuse(response, 400, 'InvalidParameterException', `Invalid name ${canary()}`),
    'login-expired': ({ response }) =>
      refuse(
        response,
        400,
        'ExpiredTokenException',
        `The security token ${canary()} included in the request is expired`,
      ),
    html: ({ response }) => page(response, 502, `<html><body>502 ${canary()}</body></html>`),
    reset: ({ response }) => void response.socket?.resetAndDestroy(),
    'cut-off': ({ response }) => {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1', 'content-length': 10_000 });
      response.write(`{"SecretString":"${canary()}`, () => response.socket?.destroy());
    },
    oversized: ({ response }) => {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      Readable.from(endless(`{"SecretString":"${canary()}`)).pipe(response);
    },
    hang: () => {},
    'slow-drip': ({ response }) => {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    },
  };
  const faults: Partial<Record<Fault, () => Promise<InjectedFault>>> = { refused: () => refused(server) };
  for (const [fault, behaviour] of Object.entries(behaviours) as [Fault, Behaviour][]) {
    faults[fault] = async () => behave(server, behaviour);
  }
  return faults;
}

function behave(server: AwsJsonServer, behaviour: Behaviour): InjectedFault {
  const held = new Set<Parameters<Behaviour>[0]['response']>();
  let arrive = () => {};
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  server.behaviour = (exchange) => {
    held.add(exchange.response);
    behaviour(exchange);
    arrive();
  };
  return {
    reached,
    async clear() {
      server.behaviour = undefined;
      for (const response of held) response.destroy();
    },
  };
}

async function refused(server: AwsJsonServer): Promise<InjectedFault> {
  await server.stop();
  return { reached: Promise.resolve(), clear: () => server.start() };
}

function* endless(start: string): Generator<string> {
  yield start;
  for (;;) yield 'x'.repeat(65_536);
}
