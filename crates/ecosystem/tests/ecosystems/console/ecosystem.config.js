console.log('loading for', process.env.NODE_ENV || 'development');
module.exports = { apps: [{ name: 'chatty', script: 'app.js' }] };
