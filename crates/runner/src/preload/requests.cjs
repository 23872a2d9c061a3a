// --- requests in flight and open connections ----------------------------------

function serving() {
  return { live: new Set(), servers: new Set() };
}

function inFlight({ live }) {
  for (const response of live) {
    if (response.destroyed || response.writableFinished) live.delete(response);
  }
  return live.size;
}

function track({ servers }, server) {
  if (servers.has(server)) return;
  servers.add(server);
  server.once('close', () => servers.delete(server));
}

function openConnections({ servers }) {
  let open = 0;
  for (const server of servers) open += server._connections || 0;
  return open;
}

function countRequests(served, drain, channel) {
  const diagnostics = require('node:diagnostics_channel');
  const started = diagnostics.channel('http.server.request.start');
  const finished = diagnostics.channel('http.server.response.finish');
  channel.inReport(() => {
    const load = { inFlight: inFlight(served), open: openConnections(served) };
    if (load.inFlight > 0) channel.reportSoon();
    return load;
  });
  started.subscribe(guarded(({ response, server }) => {
    served.live.add(response);
    track(served, server);
    if (drain.announced) closeAfter(response);
    channel.reportSoon();
  }));
  finished.subscribe(guarded(({ response }) => {
    served.live.delete(response);
    if (drain.announced) channel.reportNow();
  }));
  // Channels are held weakly by older versions.
  served.subscriptions = [started, finished];
}

