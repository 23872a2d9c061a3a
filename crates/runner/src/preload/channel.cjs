// --- the side channel to the runner -----------------------------------------
// Both ways one message per line: JSON with a type `t` to the runner, which
// ignores types and fields it does not know; `word argument` from the runner,
// whose unknown words are ignored here.

const REPORT_MS = 1000;

function runnerChannel(path) {
  const orders = new Map();
  const parts = [];
  let socket;
  let timer;
  let reporting = false;
  const obey = guarded((line) => {
    const [, word, argument] = /^(\S*) ?(.*)$/.exec(line);
    orders.get(word)?.(argument);
  });
  const open = () => {
    if (socket) return socket;
    const net = require('node:net');
    socket = net.connect(path);
    socket.unref();
    socket.on('error', () => {});
    let pending = '';
    socket.setEncoding('utf8').on('data', (text) => {
      const lines = (pending + text).split('\n');
      pending = lines.pop();
      lines.forEach(obey);
    });
    channel.send({ t: 'hello', pid: process.pid, node: process.version });
    return socket;
  };
  const report = () => {
    reporting = false;
    channel.send(Object.assign({ t: 'load' }, ...parts.map((part) => part())));
  };
  const channel = {
    send: guarded((message) => open().write(`${JSON.stringify(message)}\n`)),
    ref: guarded(() => open().ref()),
    unref: guarded(() => open().unref()),
    // What to do at an order of the runner.
    onOrder: (word, handler) => orders.set(word, guarded(handler)),
    // Fields of each report, as a function that makes them.
    inReport: (part) => parts.push(part),
    // Once per turn of the event loop, after what that turn has read.
    reportNow: () => {
      if (reporting) return;
      reporting = true;
      nextTurn(guarded(report));
    },
    reportSoon: () => {
      if (timer) return;
      timer = startTimer(guarded(() => {
        timer = undefined;
        report();
      }), REPORT_MS);
      timer.unref();
    },
  };
  return channel;
}

