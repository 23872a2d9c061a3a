// The load of `kubectl nodeapp rehearse`, run by the Node.js of the app's own image: `node -e THIS PLAN`.
//
// PLAN is JSON: target (URL), rate (requests a second), connections (kept alive), timeout (ms), check (URL or null).
// Half of the requests take a kept connection, half a new one. Nothing is repeated. Every quarter of a second a line
// of JSON says what came of the requests that ended since the line before.
'use strict';
const http = require('node:http');

const plan = JSON.parse(process.argv[1]);
const kept = new http.Agent({ keepAlive: true, maxSockets: plan.connections });
const MOST_AT_ONCE = 20 * plan.connections;
const STEP = 1.05;

let line = 0;
let tally;
function begin() {
  tally = { ok: 0, refusedByApp: 0, failed: {}, times: {}, longest: 0, checks: 0, wrong: 0, said: undefined };
}
begin();

// A connection that was closed while it was idle says so at once; what takes longer was under way.
const RACE_MS = 1000;

function kindOf(error, request, began, sent) {
  if (error.code === 'TIMEOUT') return 'timeout';
  if (began) return 'cut';
  if (error.code === 'ECONNREFUSED') return 'refused';
  if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') return 'dns';
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') {
    return request.reusedSocket && Date.now() - sent < RACE_MS ? 'idleCloseRace' : 'reset';
  }
  return error.code || 'error';
}

// Calls back once: an error with its kind, or the answer with its body.
function ask(url, options, done) {
  let over = false;
  let began = false;
  const sent = Date.now();
  const end = (error, response, body) => {
    if (over) return;
    over = true;
    clearTimeout(late);
    done(error && kindOf(error, request, began, sent), response, body);
  };
  const request = http.get(url, options, (response) => {
    began = true;
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (text) => { if (body.length < 65536) body += text; });
    response.on('end', () => (response.complete ? end(null, response, body) : end(new Error('cut'))));
    response.on('error', end);
    response.on('aborted', () => end(new Error('cut')));
  });
  request.on('error', end);
  const late = setTimeout(() => {
    end(Object.assign(new Error('late'), { code: 'TIMEOUT' }));
    request.destroy();
  }, plan.timeout);
}

let open = 0;
let count = 0;
function load() {
  if (open >= MOST_AT_ONCE) {
    tally.failed.notSent = (tally.failed.notSent || 0) + 1;
    return;
  }
  open += 1;
  count += 1;
  const began = process.hrtime.bigint();
  ask(plan.target, { agent: count % 2 ? kept : false }, (failure, response) => {
    open -= 1;
    const kind = failure || (response.statusCode >= 500 ? '5xx' : undefined);
    if (kind) {
      tally.failed[kind] = (tally.failed[kind] || 0) + 1;
      return;
    }
    const ms = Math.max(0.1, Number(process.hrtime.bigint() - began) / 1e6);
    const step = Math.round(Math.log(ms) / Math.log(STEP));
    tally.times[step] = (tally.times[step] || 0) + 1;
    tally.longest = Math.max(tally.longest, ms);
    tally.ok += 1;
    if (response.statusCode >= 400) tally.refusedByApp += 1;
  });
}

// A number as text, as JSON, or the first one of a JSON object.
function numberIn(body) {
  const text = body.trim();
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  try {
    const value = JSON.parse(text);
    if (typeof value === 'object' && value) return Object.values(value).find((it) => typeof it === 'number');
  } catch {}
  return undefined;
}

// The check: numbers have to rise, whatever else is answered has to stay as it was; cookies are kept.
const cookies = new Map();
let first;
let last;
function check() {
  const headers = cookies.size ? { cookie: [...cookies].map((it) => it.join('=')).join('; ') } : {};
  ask(plan.check, { agent: false, headers }, (failure, response, body) => {
    setTimeout(check, 200);
    if (failure || response.statusCode >= 500) return;
    for (const cookie of response.headers['set-cookie'] || []) {
      const [name, ...value] = cookie.split(';')[0].split('=');
      cookies.set(name.trim(), value.join('='));
    }
    const number = numberIn(body);
    const answer = response.statusCode >= 400 ? `status ${response.statusCode}` : body;
    let wrong;
    if (first === undefined) {
      first = answer;
      if (response.statusCode >= 400) wrong = `the check answers with ${answer}`;
    } else if (last !== undefined) {
      if (number === undefined || number <= last) wrong = `${number === undefined ? answer : number} after ${last}`;
    } else if (answer !== first) {
      wrong = `${answer} instead of ${first}`;
    }
    last = number;
    tally.checks += 1;
    if (wrong) {
      tally.wrong += 1;
      tally.said = tally.said || wrong.slice(0, 200);
    }
  });
}

function tell() {
  line += 1;
  console.log(JSON.stringify({ line, ...tally }));
  begin();
}

let due = 0;
let before = Date.now();
setInterval(() => {
  const now = Date.now();
  // A clock that jumps, or a process that was not scheduled, brings no burst.
  due += (Math.min(now - before, 250) * plan.rate) / 1000;
  before = now;
  for (; due >= 1; due -= 1) load();
}, 10);
setInterval(tell, 250);
if (plan.check) check();
process.on('SIGTERM', () => {
  tell();
  process.exit(0);
});
