const path = require('path');
const common = require('./tools/pm2-common');

const app = (name, port, more = {}) => ({
  ...common,
  name: `acme-${name}`,
  cwd: path.join(__dirname, 'packages', name),
  script: 'dist/index.js',
  env: { ...common.env, PORT: port },
  ...more,
});

module.exports = {
  apps: [
    app('api', 3001, { instances: 4, exec_mode: 'cluster' }),
    app('web', 3002),
    app('mailer', undefined, { autorestart: true, script: path.join(__dirname, 'packages/mailer/src/main.js') }),
  ],
};
