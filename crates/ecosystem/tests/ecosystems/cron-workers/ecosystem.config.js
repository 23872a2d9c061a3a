module.exports = {
  apps: [
    { name: 'nightly', script: 'jobs/nightly.js', autorestart: false, cron_restart: '0 3 * * *' },
    { name: 'refresher', script: 'refresh.js', cron_restart: '*/30 * * * *' },
    { name: 'no-cron', script: 'x.js', cron: '0' },
    { name: 'once', script: 'once.js', autorestart: false },
    { name: 'odd-cron', script: 'odd.js', cron_restart: '2027-01-01T00:00:00' },
  ],
};
