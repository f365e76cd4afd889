// Passes requests on to a server with a token, for programs that have none. Prints its address when it is ready.
// Its argument is the origin of the server; the token is in TOKEN.
import { createServer, request } from 'node:http';

const server = new URL(process.argv[2]);
const authorization = `Bearer ${process.env.TOKEN}`;

const proxy = createServer((asked, answer) => {
  const headers = { ...asked.headers, authorization };
  const address = { host: server.hostname, port: server.port, path: asked.url, method: asked.method };
  const passed = request({ ...address, headers }, (answered) => {
    answer.writeHead(answered.statusCode, answered.headers);
    answered.pipe(answer);
  });
  passed.on('error', () => answer.writeHead(502).end());
  asked.pipe(passed);
});
proxy.listen(0, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${proxy.address().port}`));
