module.exports = {
  apps: [
    {
      name: 'by-alias',
      exec: 'app.js',
      exec_interpreter: 'node',
      interpreterArgs: ['--trace-warnings'],
      err_log: 'e.log',
      out_log: 'o.log',
      cron: '15 * * * *',
      user: 'www-data',
      gid: 33,
    },
  ],
};
