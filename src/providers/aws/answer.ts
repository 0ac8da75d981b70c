import type { Readable } from 'node:stream';
import type { DeserializeHandler, MiddlewareStack } from '@smithy/types';
import { asUtf8, parseObject, SecretBytes } from '../../credential/secret.ts';
import type { Clock } from '../../platform/clock.ts';
import { Hedge } from '../hedge.ts';
import { parseRetryAfter } from '../network.ts';
import type { SecretContent } from '../provider.ts';

/** Secrets Manager allows 64 KiB, SSM 8 KiB; a longer answer is not from them. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** What the HTTP answer itself said, before the SDK made a result or an error of it. */
export interface AwsAnswer {
  /** False while the SDK is still busy with the login. */
  asked: boolean;
  status: number | undefined;
  /** Whether it was JSON, as AWS's always are, and not the page of something in between. */
  isJson: boolean;
  tooLong: boolean;
  serverTimeMs: number | undefined;
  retryAfterMs: number | undefined;
  /** Holds the secret; wiped as soon as the SDK has read it. */
  body: Buffer | undefined;
}

/** Before the service was asked anything. */
export const NOTHING_ASKED: Readonly<AwsAnswer> = {
  asked: false,
  status: undefined,
  isJson: true,
  tooLong: false,
  serverTimeMs: undefined,
  retryAfterMs: undefined,
  body: undefined,
};

interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  body: unknown;
}

export type Watch = <Input extends object, Output extends object>(stack: MiddlewareStack<Input, Output>) => AwsAnswer;

/** Notes the HTTP answer of one read, bounds its length, and sends it once more if there is none; the SDK does nothing of that. */
export function watchAnswer<Input extends object, Output extends object>(
  stack: MiddlewareStack<Input, Output>,
  clock: Clock,
  signal: AbortSignal,
): AwsAnswer {
  const answer: AwsAnswer = { ...NOTHING_ASKED };
  const middleware =
    (next: DeserializeHandler<Input, Output>): DeserializeHandler<Input, Output> =>
    async (args) => {
      answer.asked = true;
      const hedge = new Hedge(clock, (args.request as { readonly hostname: string }).hostname);
      // The same signed request, and no connection is kept, so that each attempt has one of its own.
      const { result, response, body } = await hedge.send(signal, async (own) => {
        const given = await exchange(() => next(args), answer, own);
        hedge.answered();
        return given;
      });
      answer.status = response.statusCode;
      answer.serverTimeMs = parsed(Date.parse(response.headers['date'] ?? ''));
      answer.retryAfterMs = parseRetryAfter(response.headers['retry-after'], answer.serverTimeMs);
      // Judged by the body: emulators answer with JSON under any Content-Type.
      answer.isJson = /^\s*\{/.test(body.subarray(0, 100).toString('latin1'));
      response.body = body;
      answer.body = body;
      return result;
    };
  stack.addRelativeTo(middleware, { name: 'watchAnswer', relation: 'after', toMiddleware: 'deserializerMiddleware' });
  return answer;
}

async function exchange<Result extends { readonly response: unknown }>(
  send: () => Promise<Result>,
  answer: AwsAnswer,
  signal: AbortSignal,
) {
  const result = await send();
  const response = result.response as HttpAnswer;
  // The other attempt has won: what comes now is read by nobody.
  if (signal.aborted) (response.body as Partial<Readable>).destroy?.();
  signal.throwIfAborted();
  const body = await readBounded(response.body as AsyncIterable<Buffer>, answer);
  if (signal.aborted) body.fill(0);
  return { result, response, body };
}

async function readBounded(body: AsyncIterable<Buffer>, answer: AwsAnswer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) {
      answer.tooLong = true;
      throw new Error('the answer is too long');
    }
    chunks.push(chunk);
  }
  const whole = Buffer.concat(chunks);
  for (const chunk of chunks) chunk.fill(0);
  return whole;
}

function parsed(value: number): number | undefined {
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** A text that is a JSON object is walked with `field`; every other text is the key itself. */
export function contentOfText(text: string): SecretContent {
  const json = parseObject(text.replace(/^\uFEFF/, ''));
  return json === undefined ? { kind: 'text', text: SecretBytes.fromString(text) } : { kind: 'json', json };
}

/** Takes over the bytes of a binary secret; wiped here unless they are the key itself. */
export function contentOfBytes(bytes: Uint8Array): SecretContent {
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = asUtf8(raw);
  const json = parseObject(text.toString('utf8'));
  if (text.buffer !== raw.buffer || json !== undefined) raw.fill(0);
  if (json === undefined) return { kind: 'text', text: SecretBytes.from(text) };
  text.fill(0);
  return { kind: 'json', json };
}
