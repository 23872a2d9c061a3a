// No signal handler, and it insists on keep-alive.
const http = require('node:http');
http.createServer((request, response) => {
  const answer = () => {
    response.writeHead(200, { Connection: 'keep-alive', 'Content-Length': 3 });
    response.end('ok\n');
  };
  if (request.url === '/slow') setTimeout(answer, 300);
  else answer();
}).listen(Number(process.env.PORT));
