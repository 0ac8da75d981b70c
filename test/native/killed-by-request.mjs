// `node killed-by-request.mjs FOLDER`: a daemon that is killed while it is asked, so that its socket stays. Says "ready".
import net from 'node:net';

process.umask(0o177);
const server = net.createServer((connection) => {
  connection.once('data', () => process.kill(process.pid, 'SIGKILL'));
});
server.listen(`${process.argv[2]}/broker.sock`, () => process.stdout.write('ready\n'));
