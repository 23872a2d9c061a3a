module.exports = {
  apps: [
    { name: 'by-cwd', cwd: '/var/www/app/current', script: '/var/www/app/current/dist/server.js' },
    { name: 'relative', cwd: '/home/deploy/app', script: './bin/www', out_file: '~/logs/out.log', error_file: './logs/err.log', pid_file: '/run/app.pid' },
    { name: 'alone', script: '/home/deploy/app/server.js' },
    { name: 'program', script: '/usr/local/bin/caddy', args: 'run', interpreter: 'none' },
    { name: 'nvm', script: 'app.js', interpreter: '/home/deploy/.nvm/versions/node/v18.17.0/bin/node' },
    { name: 'version', script: 'app.js', interpreter: 'node@20.10.0' },
  ],
};
