// A gRPC server with the health service of the protocol's own package. SIGUSR2
// turns the service shop.Cart to NOT_SERVING and back.
'use strict';

const grpc = require('@grpc/grpc-js');
const { HealthImplementation } = require('grpc-health-check');

const health = new HealthImplementation({ '': 'SERVING', 'shop.Cart': 'SERVING' });
const server = new grpc.Server();
// Without it the server has no health service at all.
if (process.argv[2] !== 'mute') health.addToServer(server);

let serving = true;
process.on('SIGUSR2', () => {
  serving = !serving;
  health.setStatus('shop.Cart', serving ? 'SERVING' : 'NOT_SERVING');
});

const address = `0.0.0.0:${process.env.PORT}`;
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
