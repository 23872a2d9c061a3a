module.exports = {
  apps: [{ name: 'inherits', script: 'app.js', env: { ...process.env, OWN: '1' }, filter_env: ['npm_'] }],
};
