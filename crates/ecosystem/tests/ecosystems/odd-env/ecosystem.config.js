module.exports = {
  apps: [
    {
      name: 'odd',
      script: 'app.js',
      env: {
        NUMBER: 5, YES: true, NOTHING: null, EMPTY: '', LIST: [1, 2], NESTED: { a: 1 }, 'with space': 'x', '1ST': 'y',
        TEMPLATE: '$(HOME)/x', NODE_APP_INSTANCE: 3, PM2_KILL_SIGNAL: 'SIGTERM', NODEAPP_X: '1', MULTI: 'a\nb',
      },
    },
  ],
};
