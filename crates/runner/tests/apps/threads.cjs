// Two servers in worker threads, of which one has the app's port.
const threads = require('node:worker_threads');
if (threads.isMainThread) {
  new threads.Worker(__filename, { workerData: Number(process.env.PORT) });
  new threads.Worker(__filename, { workerData: 0 });
} else {
  require('node:http').createServer((request, response) => {
    setTimeout(() => response.end('thread'), request.url === '/slow' ? 1500 : 0);
  }).listen(threads.workerData);
}
