module.exports = {
  apps: [{ name: 'typos', script: 'app.js', max_memory_restarts: '200M', killTimeOut: 3000, replicas: 3, env_production: 'x', description: 'ours' }],
};
