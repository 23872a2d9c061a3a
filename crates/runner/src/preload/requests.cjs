// --- requests in flight and open connections ----------------------------------

function serving() {
  return { live: new Map(), streams: new Set(), servers: new Set(), sessions: new Map() };
}

// Responses of HTTP/1 and streams of HTTP/2 that are not finished. What is
// finished is taken out by its own event, which counts it.
function inFlight({ live, streams }) {
  let count = 0;
  for (const all of [live, streams]) {
    for (const one of all.keys()) {
      if (givenUp(one)) all.delete(one);
      else if (!one.writableFinished) count += 1;
    }
  }
  return count;
}

// Behind another one on its connection a response is not told that this has ended.
function givenUp(one) {
  return one.destroyed || Boolean(one.req?.socket?.destroyed);
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
    served.live.set(response, milliseconds());
    track(served, drain, channel, server);
    if (drain.announced) closeAfter(response);
    channel.reportSoon();
  }));
  finished.subscribe(guarded(({ response }) => {
    const since = served.live.get(response);
    if (since === undefined) return;
    served.live.delete(response);
    served.answered(response.statusCode, since);
    if (drain.announced) channel.reportNow();
  }));
  // Channels are held weakly by older versions.
  served.subscriptions = [started, finished];
}

