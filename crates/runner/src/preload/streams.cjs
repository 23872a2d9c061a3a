// --- HTTP/2 ---------------------------------------------------------------------
// Streams say nothing on a diagnostics channel before Node.js 24, so the server's
// own events are listened to.

function watchSessions(served, drain, channel, server) {
  // What only the servers of `http2` have; loading that module just to ask costs.
  if (typeof server.updateSettings !== 'function') return;
  server.on('session', guarded((session) => {
    served.sessions.set(session, false);
    session.once('close', () => served.sessions.delete(session));
    session.on('stream', guarded((stream, headers) => {
      served.sessions.set(session, true);
      // A tunnel, such as a WebSocket over HTTP/2, is no request.
      if (headers[':method'] !== 'CONNECT') countStream(served, drain, channel, stream);
      // It came before listening ended and asks only now.
      if (drain.closed) closeSession(session);
    }));
  }));
}

function countStream(served, drain, channel, stream) {
  const since = milliseconds();
  served.streams.add(stream);
  stream.once('close', () => {
    served.streams.delete(stream);
    served.answered(stream.sentHeaders?.[':status'], since);
    if (drain.announced) channel.reportNow();
  });
  channel.reportSoon();
}

// GOAWAY with the last stream that was taken: streams up to that one are answered,
// later ones are known to the client as not processed.
const closeSession = guarded((session) => {
  if (!session.closed && !session.destroyed) session.close();
});

