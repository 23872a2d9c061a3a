// Writes LINES numbered lines as fast as they are taken, every tenth to
// standard error, says `done` as its last line on each, and lives on.
'use strict';
const { once } = require('node:events');

const LINES = Number(process.env.LINES);
const FILL = 'x'.repeat(80);

async function main() {
  for (let n = 0; n < LINES; n += 1) {
    const stream = n % 10 === 9 ? process.stderr : process.stdout;
    if (!stream.write(`line ${n} ${FILL}\n`)) {
      await once(stream, 'drain');
    }
  }
  process.stdout.write('done\n');
  process.stderr.write('done\n');
  setInterval(() => {}, 60_000);
}

main();
