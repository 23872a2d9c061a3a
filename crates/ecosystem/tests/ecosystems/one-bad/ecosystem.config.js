module.exports = {
  apps: [
    { name: 'good', script: 'a.js' },
    { name: 'decimals', script: 'a.js', max_memory_restart: '1.5G' },
    { name: 'no-script' },
    'not an app',
    { name: 'units', script: 'a.js', kill_timeout: '5s', autorestart: 'false' },
    { name: 'static', script: 'serve', env: { PM2_SERVE_PORT: 8080 } },
    { name: 'secret-argument', script: 'a.js', args: '--port 80 --api-key hunter2hunter2' },
    { name: 'runner-port', script: 'a.js', port: 9615 },
    { name: 'also-good', script: 'b.js', port: 3000 },
  ],
};
