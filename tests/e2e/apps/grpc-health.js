// A gRPC server of plain Node.js with nothing but the health service, which says
// SERVING, and after SIGUSR2 NOT_SERVING or SERVING in turn.
'use strict';
const http2 = require('node:http2');

const SERVING = 1;
const NOT_SERVING = 2;
let health = SERVING;

process.on('SIGUSR2', () => {
  health = health === SERVING ? NOT_SERVING : SERVING;
});

const server = http2.createServer();
server.on('stream', (stream, headers) => {
  const known = headers[':path'] === '/grpc.health.v1.Health/Check';
  stream.resume();
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': known ? '0' : '12' }));
  // A message: not compressed, two bytes long, its first field is the state.
  stream.end(known ? Buffer.from([0, 0, 0, 0, 2, 0x08, health]) : undefined);
});
server.listen(Number(process.env.PORT));
