module.exports = {
  apps: [
    {
      name: 'watched',
      script: 'app.js',
      pmx: false,
      automation: false,
      vizion: false,
      trace: true,
      deep_monitoring: true,
      post_update: ['npm install'],
      force: true,
      source_map_support: false,
    },
  ],
};
