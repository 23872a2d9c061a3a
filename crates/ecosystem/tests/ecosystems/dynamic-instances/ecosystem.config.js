const os = require('os');

const cpus = os.cpus().length;
module.exports = {
  apps: [
    { name: 'all', script: 'a.js', instances: cpus },
    { name: 'but-one', script: 'a.js', instances: cpus - 1 },
    { name: 'at-most-six', script: 'a.js', instances: Math.min(cpus - 1, 6) },
    { name: 'half', script: 'a.js', instances: Math.floor(cpus / 2), env: { UV_THREADPOOL_SIZE: cpus } },
    { name: 'minus-two', script: 'a.js', instances: -2 },
    { name: 'zero', script: 'a.js', instances: 0 },
    { name: 'text', script: 'a.js', instances: '3' },
    { name: 'from-env', script: 'a.js', instances: process.env.PM2_INSTANCES || 'max' },
  ],
};
