// --- begin ---------------------------------------------------------------------

function main(path) {
  const channel = runnerChannel(path);
  const served = serving();
  const drain = obeyOrders(served, channel);
  tellWhetherAnybodyListens(channel);
  countRequests(served, drain, channel);
  measure(served, channel);
  // With an IPC channel `net` is loaded already; without one and without a
  // held socket the process may never need it.
  if (process.channel || process.env[LISTEN_FDS]) {
    // Threads cannot change directory. `node:worker_threads` says it in so many words,
    // and costs each start 1.6 ms to load.
    watchListening(served, drain, channel, heldSockets(process.chdir.disabled !== true));
  }
}

// An app without the preload's help is better than none.
if (process.env[CHANNEL]) guarded(main)(process.env[CHANNEL]);
