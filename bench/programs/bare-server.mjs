// The least that a server in Node can do: one constant for every request, asking nothing about anybody.
const [, , socket] = process.argv;
const key = `sk-ant-api03-${'x'.repeat(95)}`;
const server = process.getBuiltinModule('node:http').createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': key.length });
  response.end(key);
});
server.listen({ path: socket, backlog: 4096 });
process.on('SIGTERM', () => {
  server.close();
  process.exit(0);
});
