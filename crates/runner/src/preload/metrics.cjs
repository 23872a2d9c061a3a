// --- figures about the process, its heartbeat, profiles -------------------------

// Set by the runner for the main process alone: time between two heartbeats.
const BEAT = 'NODEAPP_BEAT';
const VITALS_MS = 1000;
// The event loop is sampled this often; its percentiles are of 10 to 20 s.
const LAG_MS = 20;
const LAG_WINDOW = 10;
// Those may be tens of thousands.
const RESOURCES_EVERY = 5;
const MAX_KINDS = 32;
// Upper ends in seconds; the same in `telemetry.rs`.
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

// They start the app as a child, which gets to be the main process.
const LAUNCHERS = /[\\/](npm|npx|yarn|yarnpkg|pnpm|corepack|tsx)(-cli)?(\.[cm]?js)?$/;

function measure(served, channel) {
  timeRequests(served, channel);
  takeProfiles(channel);
  const every = Number(process.env[BEAT]);
  if (!(every > 0) || LAUNCHERS.test(process.argv[1])) return;
  // Children are not the main process.
  delete process.env[BEAT];
  beatHeart(channel, every);
}

function timeRequests(served, channel) {
  const http = { codes: [0, 0, 0, 0, 0], buckets: new Array(BUCKETS.length + 1).fill(0), seconds: 0 };
  let told = true;
  // What was broken off has no answer.
  served.answered = guarded((status, begin) => {
    const code = Math.floor(status / 100) - 1;
    if (!(code >= 0 && code < 5)) return;
    const seconds = (milliseconds() - begin) / 1000;
    http.codes[code] += 1;
    let at = 0;
    while (at < BUCKETS.length && seconds > BUCKETS[at]) at += 1;
    http.buckets[at] += 1;
    http.seconds += seconds;
    told = false;
    channel.reportSoon();
  });
  channel.inReport(() => {
    if (told) return {};
    told = true;
    return { http };
  });
}

// One timer that keeps nothing alive: the runner takes its silence for a loop
// that hangs. Everything else is loaded with the first of them only.
function beatHeart(channel, every) {
  let last = milliseconds();
  let told = -Infinity;
  let vitals;
  startInterval(guarded(() => {
    const now = milliseconds();
    const late = Math.max(0, now - last - every) / 1000;
    last = now;
    if (now - told < VITALS_MS - every / 2) return void channel.send({ t: 'beat' });
    told = now;
    if (!vitals) vitals = vitalsOf();
    channel.send(vitals(late));
  }), every).unref();
}

function vitalsOf() {
  const v8 = require('node:v8');
  const monitor = require('node:perf_hooks').monitorEventLoopDelay({ resolution: LAG_MS });
  monitor.enable();
  let before;
  let turn = 0;
  let resources = {};
  return (late) => {
    const lag = lagOf(monitor, before);
    if (turn % RESOURCES_EVERY === 0) resources = resourcesByKind();
    turn += 1;
    if (turn % LAG_WINDOW === 0) {
      before = lagOf(monitor);
      monitor.reset();
    }
    const heap = v8.getHeapStatistics();
    return {
      t: 'vitals',
      lag: { ...lag, last: late },
      heap: {
        used: heap.used_heap_size,
        total: heap.total_heap_size,
        limit: heap.heap_size_limit,
        external: heap.external_memory,
      },
      resources,
    };
  };
}

// In seconds, without the time between two samples. With the window before, so
// that a pause is seen at once and for a while.
function lagOf(monitor, before) {
  const own = (nanoseconds) => (nanoseconds > 0 ? Math.max(0, nanoseconds / 1e9 - LAG_MS / 1000) : 0);
  const lag = {
    min: monitor.count === 0 ? 0 : own(monitor.min),
    max: own(monitor.max),
    mean: own(monitor.mean),
    stddev: monitor.stddev > 0 ? monitor.stddev / 1e9 : 0,
    p50: own(monitor.percentile(50)),
    p90: own(monitor.percentile(90)),
    p99: own(monitor.percentile(99)),
  };
  if (before) {
    for (const name of Object.keys(lag)) {
      lag[name] = name === 'min' ? Math.min(lag.min, before.min) : Math.max(lag[name], before[name]);
    }
  }
  return lag;
}

function resourcesByKind() {
  const kinds = {};
  let count = 0;
  for (const kind of process.getActiveResourcesInfo()) {
    if (kinds[kind] === undefined) {
      if (count === MAX_KINDS) continue;
      count += 1;
      kinds[kind] = 0;
    }
    kinds[kind] += 1;
  }
  return kinds;
}

// The runner names the file and gives it its place when it is whole.
function takeProfiles(channel) {
  const done = (path, error) => {
    if (!error) return channel.send({ t: 'profiled', path });
    channel.send({ t: 'profiled', path, error: String(error.message || error).slice(0, 500) });
  };
  channel.onOrder('heap-snapshot', (path) => {
    try {
      require('node:v8').writeHeapSnapshot(path);
      done(path);
    } catch (error) {
      done(path, error);
    }
  });
  channel.onOrder('cpu-profile', (argument) => {
    const [, ms, path] = /^(\d+) (.*)$/.exec(argument);
    try {
      profileProcessor(Number(ms), path, (error) => done(path, error));
    } catch (error) {
      done(path, error);
    }
  });
}

function profileProcessor(ms, path, done) {
  const { Session } = require('node:inspector');
  const session = new Session();
  session.connect();
  const end = (error) => {
    session.disconnect();
    done(error);
  };
  const stop = () => session.post('Profiler.stop', (error, result) => {
    if (error) return end(error);
    require('node:fs').writeFile(path, JSON.stringify(result.profile), end);
  });
  session.post('Profiler.enable', (error) => {
    if (error) return end(error);
    session.post('Profiler.start', (failed) => {
      if (failed) return end(failed);
      startTimer(stop, ms);
    });
  });
}

