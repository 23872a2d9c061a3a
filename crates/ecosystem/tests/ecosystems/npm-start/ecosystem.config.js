module.exports = {
  apps: [
    { name: 'web', script: 'npm', args: 'start', env: { PORT: '4000' } },
    { name: 'web-by-line', script: 'npm run start:prod' },
    { name: 'web-by-path', script: '/usr/bin/npm', args: ['run', 'serve', '--', '--port', 5000], interpreter: 'none' },
  ],
};
