// `node listen-as.mjs UID FOLDER [SOCKET_NAME]`, as root: a server of another user. The kernel notes who a server is
// when it begins to listen, so the user has to change before that. Says "ready" and serves one good reply per connection.
import { mkdirSync } from 'node:fs';
import net from 'node:net';

const [uid = '', folder = '', name = 'broker.sock'] = process.argv.slice(2);
const KEY = `key-of-${uid}`;
process.seteuid?.(Number(uid));
mkdirSync(folder, { recursive: true, mode: 0o700 });
process.umask(0o177);
const server = net.createServer((connection) => {
  connection.on('error', () => {});
  connection.once('data', () => connection.end(`HTTP/1.1 200 OK\r\nContent-Length: ${KEY.length}\r\n\r\n${KEY}`));
});
server.listen(`${folder}/${name}`, () => process.stdout.write('ready\n'));
process.stdin.resume().on('end', () => process.exit(0));
