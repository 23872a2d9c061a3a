// Runs in the app's container: writes what comes on standard input below the folder of its argument. Each file is a
// line of JSON and its bytes; files are written beside their place and renamed, so that none is ever seen half.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const folder = path.resolve(process.argv[1]);
fs.accessSync(folder, fs.constants.W_OK);

let waiting = Buffer.alloc(0);
let head = null;
let written = 0;
let deleted = 0;

function place(name) {
  const full = path.resolve(folder, name);
  if (!full.startsWith(folder + path.sep)) {
    throw new Error(`${name} is outside of ${folder}`);
  }
  return full;
}

function look(full) {
  try {
    return fs.lstatSync(full);
  } catch {
    return null;
  }
}

// The folders between a file and the one that it is all about, the nearest first.
function above(full) {
  const folders = [];
  for (let next = path.dirname(full); next !== folder; next = path.dirname(next)) {
    folders.push(next);
  }
  return folders;
}

// What was a file may be a folder now, and the other way round.
function clear(full) {
  for (const parent of above(full)) {
    const found = look(parent);
    if (found !== null && !fs.statSync(parent, { throwIfNoEntry: false })?.isDirectory()) {
      fs.rmSync(parent);
    }
  }
  if (look(full)?.isDirectory()) {
    fs.rmSync(full, { recursive: true });
  }
}

// A folder that is left empty goes too.
function remove(full) {
  const found = look(full);
  if (found !== null && !found.isDirectory()) {
    fs.rmSync(full);
  }
  for (const parent of above(full)) {
    try {
      fs.rmdirSync(parent);
    } catch {
      return;
    }
  }
}

function write(bytes) {
  const full = place(head.path);
  clear(full);
  fs.mkdirSync(path.dirname(full), { recursive: true });
  const part = `${full}.nodeapp-part`;
  fs.writeFileSync(part, bytes, { mode: head.mode });
  fs.renameSync(part, full);
  written += 1;
}

process.stdin.on('data', (chunk) => {
  waiting = Buffer.concat([waiting, chunk]);
  for (;;) {
    if (head === null) {
      const end = waiting.indexOf(10);
      if (end < 0) {
        return;
      }
      head = JSON.parse(waiting.subarray(0, end));
      waiting = waiting.subarray(end + 1);
    }
    if (head.end) {
      console.log(JSON.stringify({ written, deleted }));
      process.exit();
    }
    if (head.deleted) {
      remove(place(head.path));
      deleted += 1;
    } else if (waiting.length < head.size) {
      return;
    } else {
      write(waiting.subarray(0, head.size));
      waiting = waiting.subarray(head.size);
    }
    head = null;
  }
});
