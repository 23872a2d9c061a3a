// The app's own cluster, with the policy in SCHED.
const cluster = require('node:cluster');
cluster.schedulingPolicy = cluster[process.env.SCHED || 'SCHED_RR'];
if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork();
} else {
  require('node:http').createServer((request, response) => {
    setTimeout(() => response.end(`worker ${cluster.worker.id}`), request.url === '/slow' ? 1500 : 0);
  }).listen(Number(process.env.PORT));
}
