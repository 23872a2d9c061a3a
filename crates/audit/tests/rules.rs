//! Each rule: what it finds, and what looks like it and is none.

mod support;

use nodeapp_audit::{Severity, audit_source};
use support::{found, found_in};

const SIGINT: &str = "process.on('SIGINT', () => server.close(() => process.exit(0)));\n";

#[test]
fn registry_filled_at_the_start_is_no_state() {
    let source = "const plugins = new Map();\nfunction register(name, plugin) { plugins.set(name, plugin); }\n\
                  register('a', require('./a'));\napp.get('/', (req, res) => res.json(plugins.get('a')));\n";
    assert_eq!(found(source), []);
}

#[test]
fn value_made_at_its_first_use_is_no_state() {
    let guarded = "let client;\nfunction get() { if (!client) { client = connect(); } return client; }\n\
                   app.get('/', (req, res) => res.json(get()));\n";
    let returned = "let client;\nfunction get() { if (client) return client; client = connect(); return client; }\n\
                    app.get('/', (req, res) => res.json(get()));\n";
    let logical = "let client;\napp.get('/', (req, res) => { client ??= connect(); res.json(client); });\n";
    let negated = "let up = null;\napp.get('/', (req, res) => { if (up !== null) { up = req.query.up; } res.end(); });\n";
    assert_eq!(found(guarded), []);
    assert_eq!(found(returned), []);
    assert_eq!(found(logical), []);
    assert_eq!(found(negated), [("module-state", 1)], "it is changed once it has a value");
}

#[test]
fn value_made_once_may_live_in_an_object_or_be_kept_by_or() {
    let held = "const held = { bus: undefined };\nfunction use() { if (held.bus) return held.bus; held.bus = make(); return held.bus; }\n\
                app.get('/', (req, res) => res.json(use()));\n";
    assert_eq!(found(held), []);
    let kept = "let store;\napp.get('/', (req, res) => { store = store || make(); res.end(); });\n";
    assert_eq!(found(kept), []);
    let keyed = "const held = {};\napp.get('/', (req, res) => { if (!held[req.path]) held[req.path] = load(); res.end(); });\n";
    assert_eq!(found(keyed), [("module-state", 1)], "that is a cache");
}

#[test]
fn connections_that_are_kept_to_be_closed_are_no_state() {
    let closed = "const sockets = new Set();\nserver.on('connection', (it) => { sockets.add(it); });\n\
                  function stop() { for (const it of sockets) it.destroy(); }\n";
    assert_eq!(found(closed), []);
    let told = "const sockets = new Set();\nserver.on('connection', (it) => { sockets.add(it); });\n\
                function tell(text) { for (const it of sockets) it.write(text); }\n";
    assert_eq!(found(told), [("module-state", 1)]);
}

#[test]
fn modules_and_regular_expressions_that_are_kept_are_no_state() {
    let source = "const seen = {};\napp.get('/', (req, res) => {\n  seen[req.path] = require('./' + req.path);\n  \
                  seen.x = new RegExp('x');\n  \
                  seen.y = seen.y || compile(req.body);\n  res.end();\n});\n";
    assert_eq!(found(source), []);
}

#[test]
fn flag_that_goes_one_way_is_no_state_and_a_switch_is() {
    let warned =
        "let warned = false;\napp.get('/', (req, res) => { if (x) { warned = true; } res.end(); });\n";
    assert_eq!(found(warned), []);
    let switched = "let closed = false;\napp.post('/close', (req, res) => { closed = true; res.end(); });\n\
                    app.post('/open', (req, res) => { closed = false; res.end(); });\n";
    assert_eq!(found(switched), [("module-state", 1)]);
}

#[test]
fn variables_of_a_request_are_no_state() {
    let source = "app.get('/', (req, res) => {\n  const rows = [];\n  let count = 0;\n  \
                  for (const it of req.body) { rows.push(it); count++; }\n  res.json({ rows, count });\n});\n";
    assert_eq!(found(source), []);
}

#[test]
fn state_of_a_function_that_runs_once_counts_as_the_modules() {
    let source = "function start() {\n  const rooms = new Map();\n  io.on('connection', (socket) => {\n    \
                  rooms.set(socket.id, socket);\n  });\n}\nstart();\n";
    assert_eq!(found(source), [("module-state", 2)]);
}

#[test]
fn middleware_that_keeps_something_between_requests_is_found() {
    let source = "module.exports = function limit() {\n  const hits = {};\n  \
                  return (req, res, next) => { hits[req.ip] = (hits[req.ip] || 0) + 1; next(); };\n};\n";
    assert_eq!(found(source), [("module-state", 2)]);
}

#[test]
fn fields_of_a_service_of_nest_are_state_and_those_of_an_object_per_request_are_not() {
    let service = "import { Controller, Get, Injectable } from '@nestjs/common';\n@Controller()\nexport class Cats {\n  \
                   private cache = new Map<string, string>();\n  @Get()\n  all(id: string) { this.cache.set(id, 'x'); }\n}\n";
    assert_eq!(found_in("cats.ts", service), [("module-state", 4)]);
    let per_request = "class Parser { tokens = []; parse(text) { this.tokens.push(text); } }\n\
                       app.get('/', (req, res) => { const it = new Parser(); it.parse(req.body); res.end(); });\n";
    assert_eq!(found(per_request), []);
}

#[test]
fn fields_of_the_only_instance_of_a_class_are_state() {
    let source = "class Hub {\n  static instance;\n  static get() { return Hub.instance || (Hub.instance = new Hub()); }\n  \
                  rooms = {};\n  enter(name) { this.rooms[name] = 1; }\n}\n\
                  io.on('connection', (it) => { Hub.get().enter(it.id); });\n";
    assert_eq!(found(source), [("module-state", 4)]);
}

#[test]
fn code_that_a_request_takes_out_is_gone_in_one_instance_alone() {
    let source = "const codes = new Set(load());\napp.post('/', (req, res) => { codes.delete(req.body); res.end(); });\n";
    assert_eq!(found(source), [("module-state", 1)]);
    let memo = "const kept = new Map();\napp.get('/', (req, res) => {\n  if (kept.size > 9) kept.clear();\n  \
                kept.set(req.path, new RegExp(req.path));\n  res.end();\n});\n";
    assert_eq!(found(memo), [], "what is cleared is the same everywhere");
}

#[test]
fn cache_of_a_library_is_a_note() {
    let source = "import { LRUCache } from 'lru-cache';\nconst cache = new LRUCache({ max: 5 });\n\
                  app.get('/', (req, res) => { cache.set(req.path, 1); res.end(); });\n";
    let findings = audit_source("a.mjs", source).unwrap();
    assert_eq!(findings.worst(), Some(Severity::Note));
    assert_eq!(findings.at_least(Severity::Warning), 0);
}

#[test]
fn globals_and_app_locals_are_state() {
    let source = "app.get('/', (req, res) => { global.last = req.ip; res.end(); });\n\
                  app.post('/', (req, res) => { app.locals.users.push(req.body); res.end(); });\n";
    assert_eq!(found(source), [("module-state", 1), ("module-state", 2)]);
}

#[test]
fn weak_maps_hold_what_no_other_instance_could_have() {
    let source = "const seen = new WeakMap();\napp.use((req, res, next) => { seen.set(req, 1); next(); });\n";
    assert_eq!(found(source), []);
}

#[test]
fn session_without_a_store_is_an_error_and_with_one_it_is_none() {
    let bare = "const session = require('express-session');\napp.use(session({ secret: 'x' }));\n";
    assert_eq!(found(bare), [("memory-session", 2)]);
    let store = "import session from 'express-session';\nimport { RedisStore } from 'connect-redis';\n\
                 app.use(session({ secret: 'x', store: new RedisStore({ client }) }));\n";
    assert_eq!(found(store), []);
    let memory = "const session = require('express-session');\n\
                  app.use(session({ store: new session.MemoryStore() }));\n";
    assert_eq!(found(memory), [("memory-session", 2)]);
    let later = "const session = require('express-session');\nconst options = { secret: 'x' };\n\
                 if (redis) options.store = redis;\napp.use(session(options));\n";
    assert_eq!(found(later), []);
    let spread = "const session = require('express-session');\napp.use(session({ ...config.session }));\n";
    assert_eq!(found(spread), [], "what the spread brings is not known");
}

#[test]
fn limits_in_memory_are_errors_and_those_in_redis_are_none() {
    let express =
        "import rateLimit from 'express-rate-limit';\napp.use(rateLimit({ windowMs: 1000, max: 5 }));\n";
    assert_eq!(found(express), [("memory-limiter", 2)]);
    let redis = "import { rateLimit } from 'express-rate-limit';\n\
                 app.use(rateLimit({ max: 5, store: new RedisStore({ sendCommand }) }));\n";
    assert_eq!(found(redis), []);
    let fastify = "fastify.register(require('@fastify/rate-limit'), { max: 5 });\n";
    assert_eq!(found(fastify), [("memory-limiter", 1)]);
    let insurance = "const { RateLimiterRedis, RateLimiterMemory } = require('rate-limiter-flexible');\n\
                     const insuranceLimiter = new RateLimiterMemory({});\n\
                     const limiter = new RateLimiterRedis({ storeClient, insuranceLimiter });\n";
    assert_eq!(found(insurance), [], "it counts only while Redis is away");
}

#[test]
fn names_of_other_modules_are_not_taken_for_the_known_ones() {
    let source = "const session = require('./session');\napp.use(session({ secret: 'x' }));\n\
                  const { RateLimiterMemory } = require('./limits');\nnew RateLimiterMemory();\n";
    assert_eq!(found(source), []);
}

#[test]
fn job_by_the_clock_is_found_and_one_for_the_first_instance_alone_is_not() {
    let cron = "const cron = require('node-cron');\ncron.schedule('0 3 * * *', () => mail());\n";
    assert_eq!(found(cron), [("scheduled-job", 2)]);
    let first = "const cron = require('node-cron');\n\
                 if (process.env.NODE_APP_INSTANCE === '0') { cron.schedule('0 3 * * *', () => mail()); }\n";
    assert_eq!(found(first), []);
    let nest =
        "import { Cron } from '@nestjs/schedule';\nclass Jobs {\n  @Cron('0 3 * * *')\n  run() {}\n}\n";
    assert_eq!(found_in("jobs.ts", nest), [("scheduled-job", 3)]);
}

/// What a file with this use of `cron` gives.
fn cron(rest: &str) -> Vec<(&'static str, u32)> {
    found(&format!("const cron = require('node-cron'); {rest}\n"))
}

#[test]
fn job_that_every_instance_but_the_first_does_is_found_and_so_is_one_of_the_primary_process() {
    for rest in [
        "const cluster = require('cluster'); if (cluster.isPrimary) cron.schedule('* * * * *', mail);",
        "const cluster = require('cluster'); if (cluster.isMaster) { cron.schedule('* * * * *', mail); }",
        "if (process.env.NODE_APP_INSTANCE !== '0') { cron.schedule('* * * * *', mail); }",
        "if (process.env.NODE_APP_INSTANCE === '0') { a(); } else { cron.schedule('* * * * *', mail); }",
        "if (process.env.NODE_APP_INSTANCE === '1') { cron.schedule('* * * * *', mail); }",
        "if (process.env.NODE_APP_INSTANCE === '0' || always) cron.schedule('* * * * *', mail);",
        "function start() { if (process.env.NODE_APP_INSTANCE === '0') return; cron.schedule('* * * * *', mail); } start();",
        "if (process.env.NODE_APP_INSTANCE) cron.schedule('* * * * *', mail);",
        "process.env.NODE_APP_INSTANCE === '0' || cron.schedule('* * * * *', mail);",
    ] {
        assert_eq!(cron(rest), [("scheduled-job", 1)], "{rest}");
    }
}

#[test]
fn job_of_the_first_instance_is_safe_however_that_is_asked() {
    for rest in [
        "function start() { if (process.env.NODE_APP_INSTANCE !== '0') return; cron.schedule('* * * * *', mail); } start();",
        "if (process.env.NODE_APP_INSTANCE !== '0') { process.exit(0); } cron.schedule('* * * * *', mail);",
        "process.env.NODE_APP_INSTANCE === '0' && cron.schedule('* * * * *', mail);",
        "const first = process.env.NODE_APP_INSTANCE === '0'; if (first) cron.schedule('* * * * *', mail);",
        "const { NODE_APP_INSTANCE } = process.env; if (NODE_APP_INSTANCE == 0) cron.schedule('* * * * *', mail);",
        "const it = process.env['NODE_APP_INSTANCE'] || '0'; if (it === '0' && on) cron.schedule('* * * * *', mail);",
        "if (Number(process.env.NODE_APP_INSTANCE) === 0) cron.schedule('* * * * *', mail);",
        "if (!(process.env.NODE_APP_INSTANCE !== '0')) cron.schedule('* * * * *', mail);",
        "if (process.env.NODE_APP_INSTANCE != 0) { a(); } else { cron.schedule('* * * * *', mail); }",
        "const job = process.env.pm_id === '0' ? cron.schedule('* * * * *', mail) : null;",
    ] {
        assert_eq!(cron(rest), [], "{rest}");
    }
}

#[test]
fn interval_that_acts_outside_is_a_job_and_one_that_tidies_memory_is_not() {
    let server = |body: &str| {
        format!(
            "{SIGINT}app.listen(process.env.PORT);\nsetInterval(() => {{ {body} }}, 60000);\nasync function purge() {{ await db.query('DELETE'); }}\n"
        )
    };
    assert_eq!(found(&server("purge();")), [("scheduled-job", 3)]);
    assert_eq!(found(&server("for (const it of seen) seen.delete(it);")), []);
    let script = "setInterval(async () => { await db.query('DELETE'); }, 1000);\n";
    assert_eq!(found(script), [], "no server: it is not run in several instances");
}

#[test]
fn file_that_a_request_writes_is_found_and_a_temporary_one_is_not() {
    let uploads = "const fs = require('fs');\napp.post('/', (req, res) => {\n  \
                   fs.writeFileSync('uploads/' + req.body.name, req.body.data);\n  res.end();\n});\n";
    assert_eq!(found(uploads), [("local-file", 3)]);
    let temporary = "import fs from 'node:fs/promises';\nimport os from 'os';\nimport path from 'path';\n\
                     app.post('/', async (req, res) => {\n  const file = path.join(os.tmpdir(), 'x');\n  \
                     await fs.writeFile(file, req.body);\n  await fs.writeFile('/tmp/y', 'y');\n  res.end();\n});\n";
    assert_eq!(found(temporary), []);
    let script = "const fs = require('fs');\nfs.writeFileSync('out.json', '{}');\n";
    assert_eq!(found(script), [], "a program that ends may write where it is");
}

#[test]
fn uploads_and_databases_on_the_own_disk_are_found() {
    let multer = "const multer = require('multer');\nconst upload = multer({ dest: 'uploads/' });\n\
                  const memory = multer({ storage: multer.memoryStorage() });\n";
    assert_eq!(found(multer), [("local-file", 2)]);
    let sqlite = "import Database from 'better-sqlite3';\nconst db = new Database('app.db');\n\
                  const other = new Database(':memory:');\n";
    assert_eq!(found(sqlite), [("local-file", 2)]);
}

#[test]
fn socket_io_needs_an_adapter() {
    let bare = "const { Server } = require('socket.io');\nconst io = new Server(server);\n";
    assert_eq!(found(bare), [("sticky-socket", 2)]);
    let old = "const io = require('socket.io')(server);\n";
    assert_eq!(found(old), [("sticky-socket", 1)]);
    let another = "const { Server } = require('socket.io');\nconst io = new Server(server);\nstorage.adapter('disk');\n";
    assert_eq!(found(another), [("sticky-socket", 2)], "a method of another library");
}

/// What a server of socket.io with an adapter and these options gives.
fn socket_io(options: &str) -> Vec<(&'static str, u32)> {
    found(&format!(
        "const {{ Server }} = require('socket.io');\nconst io = new Server(server{options});\nio.adapter(createAdapter(a, b));\n"
    ))
}

#[test]
fn socket_io_with_an_adapter_still_polls_unless_it_is_told_not_to() {
    assert_eq!(socket_io(""), [("sticky-polling", 2)]);
    assert_eq!(socket_io(", { cors: {} }"), [("sticky-polling", 2)]);
    assert_eq!(socket_io(", { transports: ['polling', 'websocket'] }"), [("sticky-polling", 2)]);
    assert_eq!(socket_io(", { transports: ['websocket'] }"), []);
    assert_eq!(socket_io(", { ...options }"), [], "what the spread brings is not known");
    assert_eq!(socket_io(", options"), []);
    let option = "const { Server } = require('socket.io');\n\
                  const io = new Server({ adapter: createAdapter(a, b), transports: ['websocket', 'webtransport'] });\n";
    assert_eq!(found(option), []);
    let later = "const { Server } = require('socket.io');\nconst options = {};\noptions.transports = ['websocket'];\n\
                 const io = new Server(server, options);\nio.adapter(createAdapter(a, b));\n";
    assert_eq!(found(later), []);
}

#[test]
fn socket_io_as_its_page_on_pm2_sets_it_up_works_on_one_machine_alone() {
    let source = "const { createAdapter } = require('@socket.io/cluster-adapter');\n\
                  const { setupWorker } = require('@socket.io/sticky');\n\
                  const io = require('socket.io')(server, { transports: ['websocket'] });\n\
                  io.adapter(createAdapter());\nsetupWorker(io);\n";
    assert_eq!(found(source), [("sticky-socket", 4), ("sticky-socket", 5)]);
    let option = "import { Server } from 'socket.io';\nimport { createAdapter } from '@socket.io/cluster-adapter';\n\
                  const io = new Server(server, { adapter: createAdapter(), transports: ['websocket'] });\n";
    assert_eq!(found_in("a.mjs", option), [("sticky-socket", 3)]);
}

#[test]
fn broadcast_of_ws_is_found_and_a_heartbeat_is_not() {
    let broadcast = "const { WebSocketServer } = require('ws');\nconst wss = new WebSocketServer({ server });\n\
                     function tell(text) {\n  wss.clients.forEach((client) => client.send(text));\n}\n";
    assert_eq!(found(broadcast), [("sticky-socket", 4)]);
    let heartbeat = "const { WebSocketServer } = require('ws');\nconst wss = new WebSocketServer({ server });\n\
                     setInterval(() => wss.clients.forEach((client) => client.ping()), 1000);\n";
    assert_eq!(found(heartbeat), []);
}

#[test]
fn server_that_no_signal_ends_is_a_note() {
    assert_eq!(found("app.listen(process.env.PORT);\n"), [("shutdown-signal", 1)]);
    assert_eq!(found(&format!("app.listen(process.env.PORT);\n{SIGINT}")), []);
    let both =
        "app.listen(process.env.PORT);\nfor (const it of ['SIGINT', 'SIGTERM']) process.on(it, stop);\n";
    assert_eq!(found(both), []);
}

#[test]
fn sigterm_alone_is_not_what_a_nodeapp_sends() {
    let source = "app.listen(process.env.PORT);\nprocess.on('SIGTERM', stop);\n";
    let findings = audit_source("server.js", source).unwrap();
    assert!(findings.findings[0].instead.contains("killSignal: SIGTERM"), "{:?}", findings.findings);
}

#[test]
fn address_that_only_the_pod_itself_reaches_is_an_error() {
    let source = format!("{SIGINT}server.listen(process.env.PORT, 'localhost');\n");
    assert_eq!(found(&source), [("loopback-host", 2)]);
    let options =
        format!("{SIGINT}const host = '127.0.0.1';\nserver.listen({{ port: process.env.PORT, host }});\n");
    assert_eq!(found(&options), [("loopback-host", 3)]);
    let fastify =
        format!("{SIGINT}const app = require('fastify')();\napp.listen({{ port: process.env.PORT }});\n");
    assert_eq!(found(&fastify), [("loopback-host", 3)]);
    let open = format!(
        "{SIGINT}const app = require('fastify')();\napp.listen({{ port: process.env.PORT, host: '0.0.0.0' }});\n"
    );
    assert_eq!(found(&open), []);
}

#[test]
fn port_that_ignores_port_is_found() {
    assert_eq!(found(&format!("{SIGINT}app.listen(3000);\n")), [("fixed-port", 2)]);
    assert_eq!(
        found(&format!("{SIGINT}const port = 3000;\napp.listen(port, () => {{}});\n")),
        [("fixed-port", 3)]
    );
    assert_eq!(found(&format!("{SIGINT}const port = process.env.PORT || 3000;\napp.listen(port);\n")), []);
    assert_eq!(found("store.listen(() => {});\nhelper.listen(socketPath);\n"), [], "no server for others");
}

#[test]
fn code_for_browsers_is_left_alone() {
    let source = "const cache = {};\nsetInterval(async () => { await fetch('/poll'); }, 1000);\n\
                  document.addEventListener('message', (event) => { cache[event.data] = 1; });\n";
    assert_eq!(found(source), []);
}

#[test]
fn what_compilers_make_of_imports_is_understood() {
    let source = "\"use strict\";\nvar __importDefault = (this && this.__importDefault) || function (m) { return m; };\n\
                  const express_session_1 = __importDefault(require(\"express-session\"));\n\
                  app.use((0, express_session_1.default)({ secret: 'x' }));\n";
    assert_eq!(found(source), [("memory-session", 4)]);
}
