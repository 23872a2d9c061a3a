// Several processes with ports of their own, made by a loop.
module.exports = {
  apps: Array.from({ length: 3 }, (_, index) => ({
    name: `socket-${index}`,
    script: './socket.js',
    exec_mode: 'fork',
    env: { PORT: 9000 + index, SHARD: index },
  })),
};
