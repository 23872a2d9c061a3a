module.exports = { max_memory_restart: '300M', kill_timeout: 3000, env: { NODE_ENV: 'production' } };
