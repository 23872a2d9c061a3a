// An ES module that closes its server when it is told to stop.
import { createServer } from 'node:http';
const server = createServer((request, response) => {
  const text = `${process.pid}\n`;
  response.setHeader('Content-Length', text.length);
  if (request.url === '/slow') setTimeout(() => response.end(text), 300);
  else response.end(text);
});
server.listen({ port: Number(process.env.PORT), host: '0.0.0.0', backlog: 400 });
process.on('SIGINT', () => {
  console.log('closing');
  server.close(() => {
    console.log('closed');
    process.exit(7);
  });
});
