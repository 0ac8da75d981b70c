import { CLIENT_HINTS, CLIENT_INTERVAL } from '../protocol/headers.ts';
import type { Connection, Exchange } from './connection.ts';
import { contain } from './contain.ts';
import { HangUp } from './hang-up.ts';
import { findKey, type KeyAnswering } from './key-answer.ts';
import { sendBody } from './reply.ts';

/** What the path of `GET /v1/credentials/{name}/key` says. */
export interface KeyRoute {
  readonly credential: string | undefined;
  readonly query: URLSearchParams | undefined;
}

/** For whoever speaks HTTP; the helper's own requests take helper-lane.ts. */
export async function answerKey(
  answering: KeyAnswering,
  { request, response }: Exchange,
  { peer }: Connection,
  { credential, query }: KeyRoute,
): Promise<void> {
  const hangUp = new HangUp();
  let isWritten = false;
  response.on('finish', () => {
    isWritten = true;
  });
  response.on('close', () => {
    if (!isWritten) hangUp.noteGone();
  });
  const asked = {
    credential,
    format: query?.get('format') ?? 'raw',
    interval: single(request.headers[CLIENT_INTERVAL]),
    hints: single(request.headers[CLIENT_HINTS]),
  };
  const answer = await findKey(answering, peer, asked, hangUp);
  if (answer === undefined) return;
  // 'finish' means that the kernel has every byte; a hang-up before that is 'close' without it.
  response.on('finish', () => contain(request.socket, answering.log, () => answer.delivered()));
  response.on('close', () => answer.wipe());
  sendBody(response, 200, answer.headers, answer.body);
}

function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0];
}
