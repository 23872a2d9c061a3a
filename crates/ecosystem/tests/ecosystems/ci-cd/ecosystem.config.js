module.exports = {
  apps: [{ name: 'API', script: 'app.js', env: { COMMON_VARIABLE: 'true' }, env_production: { NODE_ENV: 'production' } }],
  deploy: {
    production: {
      user: 'node',
      host: ['10.0.0.1', '10.0.0.2'],
      ref: 'origin/main',
      repo: 'https://deploy:hunter2hunter2@git.example.com/acme/api.git',
      path: '/var/www/production',
      env: { NODE_ENV: 'overridden', API: 'https://api.example.com', API_TOKEN: 'hunter2deploy' },
      'post-deploy': 'npm ci && pm2 reload ecosystem.config.js --env production',
    },
  },
};
