// --- the descriptors of the held socket ---------------------------------------

// `[::]:3000=40,41;0.0.0.0:3000=56,57` to pools of descriptors that are really sockets.
function heldSockets(isMainThread) {
  const fs = require('node:fs');
  const pools = [];
  let lost = false;
  for (const part of (process.env[LISTEN_FDS] || '').split(';')) {
    const match = /^(?:\[(.+)\]|([^:]+)):(\d+)=([\d,]+)$/.exec(part);
    if (!match) continue;
    const told = match[4].split(',').map(Number);
    const fds = told.filter((fd) => {
      try {
        return fs.fstatSync(fd).isSocket();
      } catch {
        return false;
      }
    });
    lost ||= fds.length < told.length;
    // Threads share descriptors: a worker takes from the other end.
    if (!isMainThread) fds.reverse();
    pools.push({ address: match[1] || match[2], port: Number(match[3]), fds });
  }
  // Sockets that get these numbers later are others: no thread and no child may take them.
  if (lost) publish(pools);
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
  else if (options.ipv6Only) return { why: 'ipv6Only is set', letGo: Boolean(host) };
  else if (host === '::') pool = v6;
  else if (host === undefined) pool = v6 || v4;
  if (!pool) return { why: `host ${host}`, letGo: true };
  if (pool.busy) return { why: 'another server of this process has it' };
  if (pool.fds.length === 0) return { why: 'no descriptor left', letGo: true };
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

