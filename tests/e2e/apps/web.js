// The HTTP app of most end-to-end tests. It has no signal handler on purpose.
//
// VERSION   what it answers with (default v1)
// READY     milliseconds after listening at which it says `ready`, or `never`;
//           unset: it says nothing
'use strict';
const http = require('node:http');

const { VERSION = 'v1', READY, PORT = '3000', HOSTNAME } = process.env;

function answer(response, body) {
  const text = JSON.stringify(body);
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'x-version': VERSION,
  });
  response.end(text);
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://app');
  const instance = process.env.NODE_APP_INSTANCE;
  const body = { version: VERSION, pod: HOSTNAME, pid: process.pid, uid: process.getuid(), instance };
  if (url.pathname === '/crash') {
    process.exit(3);
  }
  setTimeout(() => answer(response, body), Number(url.searchParams.get('ms') ?? 0));
});

server.listen(Number(PORT), () => {
  console.log(`${VERSION} listens on ${PORT}`);
  if (READY !== undefined && READY !== 'never') {
    setTimeout(() => process.send('ready'), Number(READY));
  }
});

module.exports = server;
