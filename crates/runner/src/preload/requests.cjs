// --- requests in flight and open connections ----------------------------------

function serving() {
  return { live: new Set(), streams: new Set(), servers: new Set(), sessions: new Map() };
}

// Responses of HTTP/1 and streams of HTTP/2 that are not finished.
function inFlight({ live, streams }) {
  for (const all of [live, streams]) {
    for (const one of all) {
      if (one.destroyed || one.writableFinished) all.delete(one);
    }
  }
  return live.size + streams.size;
}

function track(served, drain, channel, server) {
  if (served.servers.has(server)) return;
  served.servers.add(server);
  server.once('close', () => served.servers.delete(server));
  watchSessions(served, drain, channel, server);
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
    track(served, drain, channel, server);
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

