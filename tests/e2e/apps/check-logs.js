// Run by exec beside chatty.js: reads all its log files, compressed or not, and
// prints what is in them as one line of JSON.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const zlib = require('node:zlib');

const dir = '/nodeapp/logs';
const report = { files: [], done: 0, lines: 0, twice: 0, torn: [], distinct: 0, last: -1 };
const seen = new Set();

// A file that is being compressed is there twice for a moment, once unfinished.
const names = fs.readdirSync(dir).filter((name) => !name.endsWith('.new'));
const files = names.filter((name) => !names.includes(`${name}.gz`)).sort();

for (const file of files) {
  const bytes = fs.readFileSync(path.join(dir, file));
  report.files.push({ file, bytes: bytes.length });
  const text = (file.endsWith('.gz') ? zlib.gunzipSync(bytes) : bytes).toString();
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const match = /^line (\d+) x{80}$/.exec(line);
    if (line === 'done') {
      report.done += 1;
    } else if (match === null) {
      report.torn.push(`${file}: ${line.slice(0, 120)}`);
    } else {
      report.lines += 1;
      report.twice += seen.has(match[1]) ? 1 : 0;
      seen.add(match[1]);
      report.last = Math.max(report.last, Number(match[1]));
    }
  }
}
report.distinct = seen.size;
report.torn = report.torn.slice(0, 10);
console.log(JSON.stringify(report));
