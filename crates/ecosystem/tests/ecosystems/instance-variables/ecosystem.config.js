module.exports = {
  apps: [{ name: 'indexed', script: 'app.js', instances: 3, instance_var: 'INSTANCE_ID', increment_var: 'PORT', env: { PORT: 3000 } }],
};
