// env: production
// ecosystem.config.js
module.exports = {
  apps: [
    {
      name: 'api-server',
      script: './dist/server.js',
      instances: 'max',         // use all CPU cores
      exec_mode: 'cluster',     // enable cluster mode

      // Environment
      env: {
        NODE_ENV: 'development',
        PORT: 3000,
      },
      env_production: {
        NODE_ENV: 'production',
        PORT: 3000,
      },

      // Restart behavior
      max_memory_restart: '512M',  // restart if process exceeds 512MB
      min_uptime: '10s',           // must stay up at least 10s to be "stable"
      max_restarts: 10,            // max restart attempts before marking as errored
      restart_delay: 1000,         // wait 1s between restarts
      exp_backoff_restart_delay: 100, // exponential backoff on restart

      // Logging
      log_date_format: 'YYYY-MM-DD HH:mm:ss Z',
      error_file: '/var/log/pm2/api-error.log',
      out_file: '/var/log/pm2/api-out.log',
      merge_logs: true,            // merge cluster worker logs into one file

      // Watch (dev only — never use in production)
      watch: false,

      // Advanced
      kill_timeout: 5000,          // ms to wait after SIGINT before SIGKILL
      listen_timeout: 8000,        // ms to wait for app to be ready after restart
      wait_ready: true,            // wait for process.send('ready') signal
    }
  ]
};
