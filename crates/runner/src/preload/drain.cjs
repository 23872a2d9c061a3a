// --- the runner's orders on the way to a stop ----------------------------------

const SETTLE_MS = 20;
const SIGNAL_MS = 50;

function obeyOrders(served, channel) {
  const drain = { announced: false, closed: false, seen: undefined, listeners: new Set() };
  channel.inReport(() => ({ seen: drain.seen }));
  // Two turns later, so that what has come by now is still accepted.
  const later = (work) => () => nextTurn(nextTurn, guarded(work), served, drain, channel);
  const now = (word, work) => channel.onOrder(word, () => {
    work();
    drain.seen = word;
    channel.reportNow();
  });
  now('drain', () => announce(served, drain, channel));
  channel.onOrder('close', () => {
    announce(served, drain, channel);
    later(stopListening)();
  });
  // Behind a `close` that a busy event loop got to read only now as well.
  channel.onOrder('idle', later(closeIdle));
  // The app's own handler decides from here on: it may want the loop to run dry.
  // A moment later, because a process that is ending no longer calls handlers.
  now('signal', () => startTimer(channel.unref, SIGNAL_MS));
  return drain;
}

function announce(served, drain, channel) {
  if (drain.announced) return;
  drain.announced = true;
  channel.ref();
  inFlight(served);
  for (const response of served.live.keys()) closeAfter(response);
}

function stopListening(served, drain, channel) {
  drain.closed = true;
  for (const listener of drain.listeners) listener.stop();
  // One that nobody asks on yet waits for its first stream, or for `idle`.
  for (const [session, asked] of served.sessions) if (asked) closeSession(session);
  drain.seen = 'close';
  channel.reportNow();
  // Connections that end say nothing: they are counted instead.
  startInterval(channel.reportNow, SETTLE_MS).unref();
}

function closeIdle(served, drain, channel) {
  const close = guarded((server) => server.closeIdleConnections?.());
  for (const server of served.servers) close(server);
  for (const session of served.sessions.keys()) closeSession(session);
  drain.seen = 'idle';
  channel.reportNow();
}

