module.exports = {
  apps: [
    { name: 'option', script: 'a.js', port: 3000, env: { PORT: 4000 } },
    { name: 'pipe', script: 'a.js', env: { PORT: '/run/app.sock' } },
    { name: 'profile-only', script: 'a.js', env_production: { PORT: 8080 } },
  ],
};
