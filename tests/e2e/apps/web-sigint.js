// web.js with the shutdown that the documentation of PM2 teaches.
'use strict';
const server = require('./web.js');

process.on('SIGINT', () => {
  console.log('SIGINT: closing');
  server.close(() => process.exit(0));
});
