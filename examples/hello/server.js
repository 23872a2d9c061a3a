'use strict';
// A plain HTTP server that does what a good PM2 app does: it says when it is
// ready, and finishes its work on SIGINT. Nothing in it knows of Kubernetes.
const http = require('http');
const os = require('os');

const version = process.env.VERSION || require('./package.json').version;

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ version, pod: os.hostname(), path: request.url }) + '\n');
});

server.listen(process.env.PORT || 3000, () => {
  console.log(`version ${version} listens on port ${server.address().port}`);
  // process.send is there under PM2 and under nodeapp-runner, not under `node server.js`.
  if (process.send) process.send('ready');
});

process.on('SIGINT', () => {
  console.log('SIGINT: closing');
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
