import type { DeserializeHandler, MiddlewareStack } from '@smithy/types';
import { SecretBytes } from '../../credential/secret.ts';
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

/** Notes the HTTP answer of one command and bounds its length; the SDK does neither. */
export function watchAnswer<Input extends object, Output extends object>(
  stack: MiddlewareStack<Input, Output>,
): AwsAnswer {
  const answer: AwsAnswer = { ...NOTHING_ASKED };
  const middleware =
    (next: DeserializeHandler<Input, Output>): DeserializeHandler<Input, Output> =>
    async (args) => {
      answer.asked = true;
      const result = await next(args);
      const response = result.response as HttpAnswer;
      answer.status = response.statusCode;
      answer.serverTimeMs = parsed(Date.parse(response.headers['date'] ?? ''));
      answer.retryAfterMs = parseRetryAfter(response.headers['retry-after'], answer.serverTimeMs);
      const body = await readBounded(response.body as AsyncIterable<Buffer>, answer);
      // Judged by the body: emulators answer with JSON under any Content-Type.
      answer.isJson = /^\s*\{/.test(body.subarray(0, 100).toString('latin1'));
      response.body = body;
      answer.body = body;
      return result;
    };
  stack.addRelativeTo(middleware, { name: 'watchAnswer', relation: 'after', toMiddleware: 'deserializerMiddleware' });
  return answer;
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
  return objectIn(text) ?? { kind: 'text', text: SecretBytes.fromString(text) };
}

/** Takes over the bytes of a binary secret; wiped here if they turn out to be a JSON object. */
export function contentOfBytes(bytes: Uint8Array): SecretContent {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const content = objectIn(buffer.toString('utf8'));
  if (content === undefined) return { kind: 'text', text: SecretBytes.from(buffer) };
  buffer.fill(0);
  return content;
}

function objectIn(text: string): SecretContent | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    return { kind: 'json', json: JSON.parse(text) as Record<string, unknown> };
  } catch {
    return undefined;
  }
}
