module.exports = { apps: [{ script: 'index.js' }] };
