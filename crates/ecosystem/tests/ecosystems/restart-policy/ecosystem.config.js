module.exports = {
  apps: [
    {
      name: 'careful',
      script: 'a.js',
      min_uptime: 5000,
      max_restarts: '15',
      restart_delay: 4000,
      stop_exit_codes: [0, 143],
      max_memory_restart: 314572800,
      kill_timeout: 10000,
      treekill: false,
      shutdown_with_message: true,
      autostart: false,
    },
    { name: 'endless', script: 'a.js', max_restarts: Infinity, restart_delay: 1e9 },
    { name: 'dropped', script: 'a.js', max_restarts: 0, kill_timeout: 0, wait_ready: false },
    { name: 'camel', script: 'a.js', maxRestarts: 0, killTimeout: 0, waitReady: true, maxMemoryRestart: '250M' },
  ],
};
