module.exports = {
  apps: [
    {
      name: 'next-shop',
      script: 'node_modules/next/dist/bin/next',
      args: 'start -p 3000',
      cwd: './',
      instances: 'max',
      exec_mode: 'cluster',
      env: { NODE_ENV: 'production', PORT: 3000, NEXT_PUBLIC_API_KEY: 'pk_visible' },
      max_memory_restart: '1G',
    },
  ],
};
