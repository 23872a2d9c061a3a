// An app as it is written for one host: Redis is on localhost, without a password.
const express = require('express');
const session = require('express-session');
const Redis = require('ioredis');
const RedisStore = require('connect-redis').default;
const { RateLimiterRedis } = require('rate-limiter-flexible');
const { createClient } = require('redis');

const client = new Redis({ host: 'localhost', port: 6379 });
const other = createClient({ url: 'redis://localhost:6379' });
for (const each of [client, other]) each.on('error', (error) => console.error(`redis: ${error.message}`));
other.connect();

const limiter = new RateLimiterRedis({ storeClient: client, keyPrefix: 'limit', points: 100, duration: 600 });
const app = express();
const answer = (handler) => async (req, res) => {
  try {
    res.json(await handler(req, res));
  } catch (error) {
    res.status(500).json({ error: error.message });
  }
};

// Adds n, one by one and all at once, half of them by each client. Says how many were acknowledged.
app.get('/add', answer(async ({ query }) => {
  const one = (i) => (i % 2 ? client.incr('counter') : other.incr('counter'));
  const done = await Promise.allSettled(Array.from({ length: Number(query.n) }, (_, i) => one(i)));
  return { acknowledged: done.filter((it) => it.status === 'fulfilled').length };
}));
app.get('/counter', answer(async () => ({ counter: Number(await client.get('counter')) })));

// How many of n get through, all instances together.
app.get('/limited', answer(async ({ query }) => {
  const tries = Array.from({ length: Number(query.n) }, () => limiter.consume('everybody'));
  const done = await Promise.allSettled(tries);
  return { passed: done.filter((it) => it.status === 'fulfilled').length };
}));

// Writes one list entry after the other, as fast as they are acknowledged, until it is asked for them.
let writing;
app.get('/write', answer(() => {
  writing = { stop: false, acknowledged: [], next: 0 };
  const loop = async (own) => {
    while (!own.stop) {
      const number = own.next++;
      try {
        await client.set(`entry:${number}`, number);
        own.acknowledged.push(number);
      } catch {
        await new Promise((again) => setTimeout(again, 50));
      }
    }
  };
  for (let i = 0; i < 8; i += 1) loop(writing);
  return { started: true };
}));
app.get('/written', answer(() => ({ acknowledged: writing.acknowledged.length })));
app.get('/lost', answer(async () => {
  writing.stop = true;
  const lost = [];
  for (const number of writing.acknowledged) {
    if ((await client.get(`entry:${number}`)) === null) lost.push(number);
  }
  return { acknowledged: writing.acknowledged.length, lost };
}));

app.get('/config', answer(async ({ query }) => ({ value: (await client.config('GET', query.key))[1] })));

app.use(session({
  store: new RedisStore({ client }),
  secret: 'not one',
  resave: false,
  saveUninitialized: false,
}));
app.get('/login', answer((req) => {
  req.session.user = req.query.user;
  return { user: req.session.user };
}));
app.get('/whoami', answer((req) => ({ user: req.session.user ?? null, version: process.env.VERSION ?? null })));

app.listen(process.env.PORT);
