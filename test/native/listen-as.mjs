// `node listen-as.mjs UID FOLDER [SOCKET_NAME]`, as root: a server of another user. The kernel notes who a server is
// when it begins to listen, so the user has to change before that. Says "ready", serves one good reply per connection,
// and says what another process of that user sees of the helper: the owner of its memory and its core limit.
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import net from 'node:net';

const [uid = '', folder = '', name = 'broker.sock'] = process.argv.slice(2);
const KEY = `key-of-${uid}`;
process.seteuid?.(Number(uid));
mkdirSync(folder, { recursive: true, mode: 0o700 });
process.umask(0o177);

function whatOthersSee(pid) {
  const limit = /core file size +(\S+) +(\S+)/.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'));
  return `owner=${statSync(`/proc/${pid}/mem`).uid} core=${limit?.[1]},${limit?.[2]}`;
}

const server = net.createServer((connection) => {
  connection.on('error', () => {});
  connection.once('data', (request) => {
    process.stdout.write(`${whatOthersSee(/\bpid=(\d+)/.exec(request)?.[1])}\n`);
    connection.end(`HTTP/1.1 200 OK\r\nContent-Length: ${KEY.length}\r\n\r\n${KEY}`);
  });
});
server.listen(`${folder}/${name}`, () => process.stdout.write('ready\n'));
process.stdin.resume().on('end', () => process.exit(0));
