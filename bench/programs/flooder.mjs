/**
 * Crowds a socket until it is ended: `flooder.mjs SOCKET silent COUNT`, `… garbage PER_SECOND` or `… waiting COUNT CREDENTIAL`.
 * Prints `ready` when all of them are there, and what became of those that wait.
 */
import { connect } from 'node:net';

const [socketPath = '', kind, amount = '0', credential = ''] = process.argv.slice(2);
const count = Number(amount);

/** What no client sends: noise, other protocols, requests that break off, have no end or are two in one. */
const GARBAGE = [
  Buffer.from([0, 255, 22, 3, 1, 2]),
  Buffer.from('get key anthropic\r\n\r\n'),
  Buffer.from('GET /v1/status HTTP/1.1\r\nhost x\r\n\r\n'),
  Buffer.from('GET /v1/credentials/_default/key HTT'),
  Buffer.from(`GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(65_536)}`),
  Buffer.from('POST /v1/refresh HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n'),
];

function open() {
  const socket = connect(socketPath);
  socket.on('error', () => {});
  return socket;
}

/** The daemon closes a silent one after a while; another takes its place. */
function beSilent() {
  open().once('close', () => setTimeout(beSilent, 10));
}

function wait(ended) {
  const socket = open();
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1');
  });
  socket.once('close', () => ended(answer.split('\r\n', 1)[0]));
  const headers = ['Host: broker', 'Accept: text/plain', 'Connection: close', 'User-Agent: broker-key/0.1.0'];
  socket.write(`GET /v1/credentials/${credential}/key HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
}

if (kind === 'silent') {
  for (let n = 0; n < count; n += 1) beSilent();
} else if (kind === 'garbage') {
  let sent = 0;
  setInterval(() => open().end(GARBAGE[sent++ % GARBAGE.length]), 1_000 / count);
} else {
  const outcomes = {};
  let left = count;
  for (let n = 0; n < count; n += 1) {
    wait((status) => {
      outcomes[status] = (outcomes[status] ?? 0) + 1;
      left -= 1;
      if (left === 0) console.log(JSON.stringify(outcomes));
    });
  }
}
setTimeout(() => console.log('ready'), 500);
