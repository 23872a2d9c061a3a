// env: production
module.exports = {
  apps: [
    {
      name: 'payments',
      script: 'server.js',
      env: {
        PORT: 3000,
        LOG_LEVEL: 'info',
        DATABASE_URL: 'postgres://app:hunter2hunter2@db.internal:5432/shop',
        SESSION_SECRET: 'hunter2hunter2 keyboard cat',
        STRIPE_KEY: 'sk_test_hunter2hunter2hunter2',
        TOKEN_TTL: 3600,
      },
      env_production: {
        DATABASE_URL: 'postgres://app:hunter2hunter2prod@db.internal:5432/shop',
        PUBLIC_URL: 'https://shop.example.com',
      },
    },
  ],
};
