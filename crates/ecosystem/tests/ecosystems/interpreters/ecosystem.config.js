module.exports = {
  apps: [
    { name: 'python', script: 'worker.py', interpreter: '/usr/bin/python3', args: ['--queue', 'mail'] },
    { name: 'shell', script: './run.sh' },
    { name: 'binary', script: './bin/server', interpreter: 'none', exec_mode: 'fork' },
    { name: 'gunicorn', script: 'gunicorn', args: 'app:app -b 0.0.0.0:8000', interpreter: 'python3' },
    { name: 'line', script: 'node --enable-source-maps dist/main.js | pino-pretty' },
  ],
};
