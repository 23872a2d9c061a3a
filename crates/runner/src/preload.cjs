'use strict';
// Loaded into every Node.js process of the app by NODE_OPTIONS, before the
// app's own code. It does three things and stays out of the way otherwise:
//   1. a listen() on the app's port takes over the socket that the runner
//      holds, if that changes nothing about who can connect;
//   2. requests in flight are counted, and told to the runner;
//   3. on the runner's order responses carry `Connection: close`, listening
//      ends, and the process lives on until the runner's signal.
// It never throws into the app: whatever fails here falls back to plain Node.js.
// Nothing heavy is loaded here, since each child process of the app pays for it.

const CHANNEL = 'NODEAPP_CHANNEL';
const LISTEN_FDS = 'NODEAPP_LISTEN_FDS';
const REPORT_MS = 1000;
const SETTLE_MS = 20;
const SIGNAL_MS = 50;

const channelPath = process.env[CHANNEL];
if (channelPath) {
  try {
    main();
  } catch {
    // An app without the preload's help is better than none.
  }
}

function main() {
  const drain = drainState();
  const channel = runnerChannel(drain);
  countRequests(drain, channel);
  // With an IPC channel `net` is loaded already; without one and without a
  // held socket the process may never need it.
  if (process.channel || process.env[LISTEN_FDS]) {
    watchListening(drain, channel, heldSockets(require('node:worker_threads').isMainThread));
  }
}

// --- what is being served --------------------------------------------------

// Whatever goes wrong in here must not surface in the app.
function guarded(work) {
  return (...args) => {
    try {
      work(...args);
    } catch {
      // As if the preload were not there.
    }
  };
}

function drainState() {
  return {
    announced: false,
    closed: false,
    seen: undefined,
    live: new Set(),
    servers: new Set(),
    listeners: new Set(),
  };
}

function inFlight(drain) {
  for (const response of drain.live) {
    if (response.destroyed || response.writableFinished) drain.live.delete(response);
  }
  return drain.live.size;
}

function track(drain, server) {
  if (drain.servers.has(server)) return;
  drain.servers.add(server);
  server.once('close', () => drain.servers.delete(server));
}

function openConnections(drain) {
  let open = 0;
  for (const server of drain.servers) open += server._connections || 0;
  return open;
}

function countRequests(drain, channel) {
  const diagnostics = require('node:diagnostics_channel');
  const started = diagnostics.channel('http.server.request.start');
  const finished = diagnostics.channel('http.server.response.finish');
  started.subscribe(guarded(({ response, server }) => {
    drain.live.add(response);
    track(drain, server);
    if (drain.announced) closeAfter(response);
    channel.reportSoon();
  }));
  finished.subscribe(guarded(({ response }) => {
    drain.live.delete(response);
    if (drain.announced) channel.reportNow();
  }));
  // Channels are held weakly by older versions.
  drain.subscriptions = [started, finished];
}

// --- Connection: close, also against an app that sets the header itself ------

function closeAfter(response) {
  if (response.headersSent) return;
  const store = response._storeHeader;
  response.shouldKeepAlive = false;
  response._storeHeader = function (firstLine, headers) {
    return store.call(this, firstLine, this.statusCode === 101 ? headers : closing(this, headers));
  };
}

function closing(response, headers) {
  try {
    response.shouldKeepAlive = false;
    if (response.getHeaderNames().length === 0) return withoutConnection(headers);
    response.setHeader('Connection', 'close');
  } catch {
    // The header stays as the app wants it.
  }
  return headers;
}

const isConnection = (name) => /^connection$/i.test(String(name));

function withoutConnection(headers) {
  if (!headers) return headers;
  if (Array.isArray(headers)) {
    if (Array.isArray(headers[0])) return headers.filter(([name]) => !isConnection(name));
    return headers.filter((_, at) => !isConnection(headers[at - (at % 2)]));
  }
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isConnection(name)));
}

// --- the side channel to the runner -----------------------------------------

function runnerChannel(drain) {
  let socket;
  let timer;
  let reporting = false;
  const open = () => {
    if (socket) return socket;
    const net = require('node:net');
    socket = net.connect(channelPath);
    socket.unref();
    socket.on('error', () => {});
    let pending = '';
    socket.setEncoding('utf8').on('data', (text) => {
      const lines = (pending + text).split('\n');
      pending = lines.pop();
      for (const line of lines) guarded(obey)(line, drain, channel);
    });
    channel.send({ t: 'hello', pid: process.pid, node: process.version });
    return socket;
  };
  const report = () => {
    reporting = false;
    channel.send({ t: 'load', inFlight: inFlight(drain), open: openConnections(drain), seen: drain.seen });
  };
  const channel = {
    send: guarded((message) => open().write(`${JSON.stringify(message)}\n`)),
    ref: guarded(() => open().ref()),
    unref: guarded(() => open().unref()),
    // Once per turn of the event loop, after what that turn has read.
    reportNow: () => {
      if (reporting) return;
      reporting = true;
      setImmediate(report);
    },
    reportSoon: () => {
      if (timer) return;
      timer = setTimeout(() => {
        timer = undefined;
        report();
        if (drain.live.size > 0) channel.reportSoon();
      }, REPORT_MS);
      timer.unref();
    },
  };
  return channel;
}

function obey(order, drain, channel) {
  if (order === 'drain') announce(drain, channel);
  else if (order === 'close') {
    announce(drain, channel);
    // Two turns later, so that what has come by now is still accepted.
    return void setImmediate(setImmediate, guarded(stopListening), drain, channel);
  }
  // Behind a `close` that a busy event loop got to read only now as well.
  else if (order === 'idle') return void setImmediate(setImmediate, guarded(closeIdle), drain, channel);
  // The app's own handler decides from here on: it may want the loop to run dry.
  // A moment later, because a process that is ending no longer calls handlers.
  else if (order === 'signal') setTimeout(channel.unref, SIGNAL_MS);
  drain.seen = order;
  channel.reportNow();
}

function announce(drain, channel) {
  if (drain.announced) return;
  drain.announced = true;
  channel.ref();
  inFlight(drain);
  for (const response of drain.live) closeAfter(response);
}

function stopListening(drain, channel) {
  drain.closed = true;
  for (const listener of drain.listeners) listener.stop();
  drain.seen = 'close';
  channel.reportNow();
  // Connections that end say nothing: they are counted instead.
  setInterval(channel.reportNow, SETTLE_MS).unref();
}

function closeIdle(drain, channel) {
  const close = guarded((server) => server.closeIdleConnections?.());
  for (const server of drain.servers) close(server);
  drain.seen = 'idle';
  channel.reportNow();
}

// --- listening ---------------------------------------------------------------

// `[::]:3000=40,41;0.0.0.0:3000=56,57` to pools of descriptors that are really sockets.
function heldSockets(isMainThread) {
  const fs = require('node:fs');
  const pools = [];
  for (const part of (process.env[LISTEN_FDS] || '').split(';')) {
    const match = /^(?:\[(.+)\]|([^:]+)):(\d+)=([\d,]+)$/.exec(part);
    if (!match) continue;
    const fds = match[4].split(',').map(Number).filter((fd) => {
      try {
        return fs.fstatSync(fd).isSocket();
      } catch {
        return false;
      }
    });
    // Threads share descriptors: a worker takes from the other end.
    if (!isMainThread) fds.reverse();
    pools.push({ address: match[1] || match[2], port: Number(match[3]), fds });
  }
  return pools;
}

// The pool that serves exactly the addresses the app asks for, or why none does.
function choosePool(pools, options) {
  const port = typeof options.port === 'string' ? Number(options.port) : options.port;
  const ofPort = pools.filter((pool) => pool.port === port);
  if (ofPort.length === 0) return {};
  if (options.reusePort) return { why: 'reusePort is set' };
  const host = options.host || undefined;
  const v6 = ofPort.find((pool) => pool.address === '::');
  const v4 = ofPort.find((pool) => pool.address === '0.0.0.0');
  let pool;
  if (host === '0.0.0.0') pool = v4;
  else if (options.ipv6Only) return { why: 'ipv6Only is set' };
  else if (host === '::') pool = v6;
  else if (host === undefined) pool = v6 || v4;
  if (!pool) return { why: `host ${host}` };
  if (pool.busy) return { why: 'another server of this process has it' };
  if (pool.fds.length === 0) return { why: 'no descriptor left' };
  return { pool };
}

function take(pools, pool) {
  const fd = pool.fds.shift();
  for (const other of pools) if (other.port === pool.port) other.busy = true;
  publish(pools);
  return fd;
}

function giveBack(pools, pool) {
  for (const other of pools) if (other.port === pool.port) other.busy = false;
  publish(pools);
}

// Children see only what nobody here has taken: they must not listen beside us.
function publish(pools) {
  const free = pools.filter((pool) => !pool.busy && pool.fds.length > 0).map((pool) => {
    const host = pool.address.includes(':') ? `[${pool.address}]` : pool.address;
    return `${host}:${pool.port}=${pool.fds.join(',')}`;
  });
  if (free.length > 0) process.env[LISTEN_FDS] = free.join(';');
  else delete process.env[LISTEN_FDS];
}

function watchListening(drain, channel, pools) {
  const net = require('node:net');
  const plainListen = net.Server.prototype.listen;
  net.Server.prototype.listen = function listen(...args) {
    let chosen = {};
    let normalized;
    try {
      normalized = net._normalizeArgs(args);
      if (takesPort(this, normalized[0])) chosen = choosePool(pools, normalized[0]);
    } catch {
      chosen = {};
    }
    if (this.listening === false) onceListening(this, drain, channel, pools, chosen);
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
  shareWithClusterWorkers(net, pools);
}

function takesPort(server, options) {
  if (server.listening || options.fd >= 0 || options.path || options.handle || options._handle) return false;
  return options.port !== undefined && options.port !== null && !require('node:cluster').isWorker;
}

// cluster.SCHED_NONE makes its handles without a server.
function shareWithClusterWorkers(net, pools) {
  const plain = net._createServerHandle;
  net._createServerHandle = function (host, port, type, fd, flags) {
    const none = fd === undefined || fd === null || fd < 0;
    const chosen = none && port > 0 ? choosePool(pools, { host, port, ipv6Only: (flags & 1) === 1 }) : {};
    if (!chosen.pool) return plain.apply(this, arguments);
    const handle = plain.call(this, null, null, null, take(pools, chosen.pool), 0);
    if (typeof handle === 'object') onHandleClosed(handle, () => giveBack(pools, chosen.pool));
    else giveBack(pools, chosen.pool);
    return handle;
  };
}

function onHandleClosed(handle, then) {
  const close = handle.close;
  handle.close = function (...args) {
    handle.close = close;
    then();
    return close.apply(this, args);
  };
}

function onceListening(server, drain, channel, pools, { pool, why }) {
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
    track(drain, server);
    drain.listeners.add(listener);
    onHandleClosed(handle, () => {
      drain.listeners.delete(listener);
      if (pool) giveBack(pools, pool);
      channel.send({ t: 'closed', port: bound.port, adopted: Boolean(pool) });
    });
    channel.send({ t: 'listening', port: bound.port, host: bound.address, adopted: Boolean(pool), why });
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
        if (typeof callback === 'function') setImmediate(callback);
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
