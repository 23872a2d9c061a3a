// env: staging
module.exports = {
  apps: [
    {
      name: 'svc',
      script: 'svc.js',
      append_env_to_name: true,
      env: { PORT: 3000, NODE_ENV: 'development' },
      env_staging: { PORT: 3100, NODE_ENV: 'staging', LIMITS: { rps: 10 } },
      env_production: { PORT: 80, NODE_ENV: 'production' },
    },
  ],
};
