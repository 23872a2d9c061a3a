// Keeps LEAK_BYTES for every request, for ever.
'use strict';
const server = require('./web.js');

const kept = [];
// Filled, not only allocated: memory that was never written is not resident.
server.prependListener('request', () => kept.push(Buffer.alloc(Number(process.env.LEAK_BYTES), 1)));
