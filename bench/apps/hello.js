// The smallest server. HANDLER=1 gives it the shutdown that PM2's documentation teaches. `GET /grow` makes it keep
// GROW_MIB more of memory that is really used.
'use strict';
const http = require('node:http');

const kept = [];

const server = http.createServer((request, response) => {
  if (request.url === '/grow') {
    kept.push(Buffer.alloc(Number(process.env.GROW_MIB) * 1024 * 1024, 1));
  }
  response.setHeader('Content-Type', 'text/plain');
  response.end('hello\n');
});

server.listen(Number(process.env.PORT || 0), () => {
  if (process.send) {
    process.send('ready');
  }
});

if (process.env.HANDLER === '1') {
  process.on('SIGINT', () => server.close(() => process.exit(0)));
}
