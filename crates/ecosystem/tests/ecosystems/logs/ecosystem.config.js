module.exports = {
  apps: [
    { name: 'dated', script: 'a.js', time: true, merge_logs: true, out_file: '/dev/null', error_file: 'NULL' },
    { name: 'json', script: 'a.js', log_type: 'json', log_file: '/var/log/all.log' },
    { name: 'one-file', script: 'a.js', output: './logs/app.log', error: './logs/app.log', log_date_format: 'YYYY-MM-DD HH:mm Z' },
    { name: 'container', script: 'a.js', out: '/dev/stdout', err: '/dev/stderr', combine_logs: true },
    { name: 'combined', script: 'a.js', log: true, disable_logs: false },
  ],
};
