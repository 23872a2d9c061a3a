// The server of the article on PM2 in production, with a handler: it says `ready` once it listens, and on SIGINT closes
// its server before it ends.
'use strict';
const http = require('node:http');

const server = http.createServer((request, response) => {
  const { NODE_ENV, NODE_APP_INSTANCE, HOSTNAME } = process.env;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ env: NODE_ENV, instance: NODE_APP_INSTANCE, pod: HOSTNAME }));
});

server.listen(process.env.PORT, () => {
  if (process.send) process.send('ready');
  console.log(`Worker ${process.pid} listening on port ${process.env.PORT}`);
});

process.on('SIGINT', () => {
  console.log(`Worker ${process.pid} shutting down`);
  server.close(() => {
    console.log(`Worker ${process.pid} closed`);
    process.exit(0);
  });
  setTimeout(() => process.exit(1), 4000).unref();
});
