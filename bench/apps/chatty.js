// Writes LINES numbered lines of LENGTH bytes, the line end included: as fast as they are taken, or PER_10_MS every
// 10 ms. Says `done` on a line of its own after them, and lives on.
'use strict';

const lines = Number(process.env.LINES);
const length = Number(process.env.LENGTH);
const pace = Number(process.env.PER_10_MS || 0);

let next = 0;

function write(count) {
  for (let end = Math.min(lines, next + count); next < end; next += 1) {
    console.log(`line ${next} `.padEnd(length - 1, 'x'));
  }
  return next < lines;
}

function finish() {
  console.log('done');
  setInterval(() => {}, 60_000);
}

if (pace > 0) {
  const timer = setInterval(() => {
    if (!write(pace)) {
      clearInterval(timer);
      finish();
    }
  }, 10);
} else {
  // In turns, as an app would: the event loop goes on between them.
  const turn = () => (write(1000) ? setImmediate(turn) : finish());
  turn();
}
