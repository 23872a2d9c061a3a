// A queue that every instance fills and works off: each job is done once.
const http = require('node:http');
const { Queue, Worker } = require('bullmq');
const Redis = require('ioredis');

const connection = { host: 'localhost', port: 6379, maxRetriesPerRequest: null };
const client = new Redis(connection);
const queue = new Queue('orders', { connection });
const worker = new Worker('orders', (job) => client.hincrby('done', job.data.id, 1), { connection, concurrency: 10 });
for (const each of [client, queue, worker]) each.on('error', (error) => console.error(`queue: ${error.message}`));

http.createServer(async (req, res) => {
  const url = new URL(req.url, 'http://app');
  try {
    if (url.pathname === '/fill') {
      const [from, n] = ['from', 'n'].map((name) => Number(url.searchParams.get(name)));
      await queue.addBulk(Array.from({ length: n }, (_, i) => ({ name: 'order', data: { id: from + i } })));
    }
    const counts = Object.values(await client.hgetall('done')).map(Number);
    res.end(JSON.stringify({ done: counts.length, twice: counts.filter((count) => count !== 1).length }));
  } catch (error) {
    res.statusCode = 500;
    res.end(JSON.stringify({ error: error.message }));
  }
}).listen(process.env.PORT);
