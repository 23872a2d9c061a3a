require('dotenv').config();

module.exports = {
  apps: [{ name: 'with-dotenv', script: 'app.js', env: { PORT: process.env.APP_PORT, API_TOKEN: process.env.API_TOKEN, REGION: process.env.REGION || 'eu' } }],
};
