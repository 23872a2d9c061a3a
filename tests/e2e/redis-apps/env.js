// Code that reads where its Redis is.
const http = require('node:http');
const Redis = require('ioredis');

const client = new Redis(process.env.REDIS_URL);
client.on('error', (error) => console.error(`redis: ${error.message}`));
http.createServer(async (req, res) => {
  try {
    res.end(JSON.stringify({ counter: await client.incr('counter') }));
  } catch (error) {
    res.statusCode = 500;
    res.end(JSON.stringify({ error: error.message }));
  }
}).listen(process.env.PORT);
