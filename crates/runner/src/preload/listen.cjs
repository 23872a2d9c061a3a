// --- listening ---------------------------------------------------------------

const LET_GO_MS = 500;
const released = [];

function watchListening(served, drain, channel, pools) {
  const net = require('node:net');
  const plainListen = net.Server.prototype.listen;
  net.Server.prototype.listen = function listen(...args) {
    let chosen = {};
    let normalized;
    try {
      normalized = net._normalizeArgs(args);
      if (require('node:cluster').isWorker) chosen.shared = !normalized[0].exclusive;
      else if (takesPort(this, normalized[0])) chosen = choosePool(pools, normalized[0]);
    } catch {
      chosen = {};
    }
    if (this.listening === false) guarded(onceListening)(this, served, drain, channel, pools, chosen);
    if (chosen.letGo) return letGo(channel, this, () => plainListen.apply(this, args));
    if (!chosen.pool) return plainListen.apply(this, args);
    const [options, callback] = normalized;
    const fd = take(pools, chosen.pool);
    const backlog = options.backlog || [args[1], args[2]].find((n) => Number(n) > 0);
    const adopted = { fd };
    if (options.signal) adopted.signal = options.signal;
    const rest = backlog ? [Number(backlog)] : [];
    if (typeof callback === 'function') rest.push(callback);
    try {
      return plainListen.call(this, adopted, ...rest);
    } catch (error) {
      giveBack(pools, chosen.pool);
      throw error;
    }
  };
  shareWithClusterWorkers(net, channel, pools);
}

// From an earlier server on, the runner's socket may listen, and nobody else could:
// the runner ends that first. With a host listening is never at once anyway.
function letGo(channel, server, listen) {
  const { AsyncResource } = require('node:async_hooks');
  let begun = false;
  // In the app's own context: what is served inherits it from here.
  const begin = AsyncResource.bind(() => {
    if (begun) return;
    begun = true;
    stopTimer(late);
    try {
      listen();
    } catch (error) {
      // Nobody in here is to catch it.
      process.nextTick(() => server.emit('error', error));
    }
  });
  // It keeps the process alive, as listening would.
  const late = startTimer(begin, LET_GO_MS);
  // Each request gets one answer, in order.
  released.push(begin);
  channel.onOrder('released', () => released.shift()?.());
  channel.send({ t: 'release' });
  return server;
}

function takesPort(server, options) {
  if (server.listening || options.fd >= 0 || options.path || options.handle || options._handle) return false;
  return options.port !== undefined && options.port !== null;
}

// cluster.SCHED_NONE makes its handles without a server.
function shareWithClusterWorkers(net, channel, pools) {
  const plain = net._createServerHandle;
  net._createServerHandle = function (host, port, type, fd, flags) {
    const none = fd === undefined || fd === null || fd < 0;
    const chosen = none && port > 0 ? choosePool(pools, { host, port, ipv6Only: (flags & 1) === 1 }) : {};
    const handle = chosen.pool
      ? plain.call(this, null, null, null, take(pools, chosen.pool), 0)
      : plain.apply(this, arguments);
    if (typeof handle !== 'object') {
      if (chosen.pool) giveBack(pools, chosen.pool);
    } else if (chosen.pool || chosen.why) {
      guarded(onceWorkersListen)(handle, channel, pools, port, chosen);
    }
    return handle;
  };
}

// The handle of the primary listens when the first worker does.
function onceWorkersListen(handle, channel, pools, port, { pool, why }) {
  const cluster = require('node:cluster');
  const adopted = Boolean(pool);
  let told = false;
  const listening = guarded((worker, bound) => {
    if (bound.port !== port) return;
    told = true;
    cluster.removeListener('listening', listening);
    channel.send({ t: 'listening', port, host: bound.address || '::', adopted, why });
  });
  cluster.on('listening', listening);
  onHandleClosed(handle, () => {
    cluster.removeListener('listening', listening);
    if (pool) giveBack(pools, pool);
    if (told) channel.send({ t: 'closed', port, adopted });
  });
}

function onHandleClosed(handle, then) {
  const close = handle.close;
  handle.close = function (...args) {
    handle.close = close;
    then();
    return close.apply(this, args);
  };
}

function onceListening(server, served, drain, channel, pools, { pool, why, shared }) {
  const { errorMonitor } = require('node:events');
  const failed = () => {
    server.removeListener('listening', listening);
    if (pool) giveBack(pools, pool);
  };
  const listening = guarded(() => {
    server.removeListener(errorMonitor, failed);
    const handle = server._handle;
    const bound = handle ? server.address() : null;
    if (!bound || typeof bound !== 'object') return;
    const listener = { stop: () => standIn(server, handle, bound) };
    track(served, drain, channel, server);
    drain.listeners.add(listener);
    onHandleClosed(handle, () => {
      drain.listeners.delete(listener);
      if (pool) giveBack(pools, pool);
      channel.send({ t: 'closed', port: bound.port, adopted: Boolean(pool) });
    });
    channel.send({ t: 'listening', port: bound.port, host: bound.address, adopted: Boolean(pool), why, shared });
    if (drain.closed) listener.stop();
  });
  server.once('listening', listening);
  // Observed, not handled: without a handler of the app an error still throws.
  server.once(errorMonitor, failed);
}

// Ends accepting without the app noticing: connections that come now wait in
// the runner's socket for the next process.
function standIn(server, handle, bound) {
  if (server._handle === handle) {
    server._handle = {
      fd: -1,
      close(callback) {
        if (typeof callback === 'function') nextTurn(callback);
      },
      ref() {},
      unref() {},
      hasRef: () => false,
      getAsyncId: () => 0,
      getsockname(out) {
        Object.assign(out, bound);
        return 0;
      },
    };
  }
  handle.close();
}

