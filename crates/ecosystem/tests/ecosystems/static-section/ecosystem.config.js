module.exports = {
  apps: [{ name: 'api', script: 'api.js' }],
  static: [{ name: 'site', path: './public', port: 8080 }],
};
