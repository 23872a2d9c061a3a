const { Server } = require('socket.io');
const server = require('node:http').createServer((request, response) => response.end('plain'));
const io = new Server(server);
io.on('connection', (socket) => socket.emit('hello', 'world'));
server.listen(Number(process.env.PORT));
process.on('SIGINT', () => io.close(() => process.exit(0)));
