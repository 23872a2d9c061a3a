module.exports = {
  apps: [
    { name: 'My API_Server v2', script: 'a.js' },
    { name: 'my-api-server-v2', script: 'a.js' },
    { name: '2fa', script: 'a.js', namespace: 'auth' },
    { name: 'default', script: 'a.js' },
    { name: 'a-name-that-is-so-long-that-no-label-of-the-domain-name-system-takes-it', script: 'a.js' },
    { script: './src/mail.worker.js' },
    { script: 'node server.js --verbose' },
  ],
};
