// One server of the kind in KIND. Answers "ok", and at once except for /slow.
const fs = require('node:fs');
const kind = process.env.KIND;
const tls = () => ({ key: fs.readFileSync(process.env.TLS_KEY), cert: fs.readFileSync(process.env.TLS_CERT) });
const answer = (request, response) => {
  if (request.url === '/slow') setTimeout(() => response.end('ok'), 1500);
  else response.end('ok');
};
const servers = {
  http: () => require('node:http').createServer(answer),
  https: () => require('node:https').createServer(tls(), answer),
  h2c: () => require('node:http2').createServer(answer),
  h2: () => require('node:http2').createSecureServer({ ...tls(), allowHTTP1: true }, answer),
  net: () => require('node:net').createServer((socket) => {
    socket.on('error', () => {});
    socket.end('ok');
  }),
};
exports.start = () => servers[kind]().listen(Number(process.env.PORT));
if (require.main === module) exports.start();
