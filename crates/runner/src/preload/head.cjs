/* A part of nodeapp-runner: docs/runner.md says what it touches, and its sources why. */
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
// Node.js' own: an app may put others in their place, as zone.js does.
const [startTimer, stopTimer, startInterval, nextTurn] = [setTimeout, clearTimeout, setInterval, setImmediate];

// The first look at `performance` takes longer than all else that is done at a start.
const { hrtime } = process;

function milliseconds() {
  const [seconds, nanoseconds] = hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

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

