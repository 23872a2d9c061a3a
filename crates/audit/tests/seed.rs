//! The table of the article that the project began with: four rows that break, four that are safe.

mod support;

use support::found;

/// A server around a declaration and the body of its only handler.
fn server(declaration: &str, handler: &str) -> String {
    format!(
        "const express = require('express');\nconst app = express();\n{declaration}\n\
         app.post('/login', async (req, res) => {{ {handler} res.json({{}}); }});\n"
    )
}

#[test]
fn const_cache_is_new_map_breaks() {
    let source = server("const cache = new Map();", "cache.set(req.query.id, await load(req.query.id));");
    assert_eq!(found(&source), [("module-state", 3)]);
}

#[test]
fn let_request_count_is_zero_breaks() {
    assert_eq!(found(&server("let requestCount = 0;", "requestCount++;")), [("module-counter", 3)]);
}

#[test]
fn const_sessions_is_an_object_breaks() {
    let source = server("const sessions = {};", "sessions[req.body.id] = { user: req.body.user };");
    assert_eq!(found(&source), [("module-state", 3)]);
}

#[test]
fn const_rate_limiter_is_rate_limiter_memory_breaks() {
    let source = server(
        "const { RateLimiterMemory } = require('rate-limiter-flexible');\nconst rateLimiter = new RateLimiterMemory();",
        "await rateLimiter.consume(req.ip);",
    );
    assert_eq!(found(&source), [("memory-limiter", 4)]);
}

#[test]
fn const_db_is_create_connection_is_safe() {
    let source = server(
        "const { createConnection } = require('mysql2');\nconst db = createConnection();",
        "await db.query('INSERT INTO logins VALUES (?)', [req.body.user]);",
    );
    assert_eq!(found(&source), []);
}

#[test]
fn const_server_is_http_create_server_is_safe() {
    let source = "const http = require('http');\n\
                  const server = http.createServer((req, res) => res.end('hello'));\n\
                  server.listen(process.env.PORT);\n\
                  process.on('SIGINT', () => server.close(() => process.exit(0)));\n";
    assert_eq!(found(source), []);
}

#[test]
fn const_config_is_require_config_is_safe() {
    assert_eq!(found(&server("const config = require('./config');", "res.set('x', config.name);")), []);
}

#[test]
fn const_queue_is_new_bullmq_queue_is_safe() {
    let source = server(
        "const BullMQ = require('bullmq');\nconst queue = new BullMQ.Queue('mail');",
        "await queue.add('welcome', { to: req.body.mail });",
    );
    assert_eq!(found(&source), []);
}

/// No row of the table, but as much a thing of one process: PM2's cluster mode gives sockets no instance of their own.
#[test]
fn sockets_that_need_the_same_instance_again_break() {
    let source = "const http = require('http');\nconst server = http.createServer();\n\
                  const io = require('socket.io')(server);\n\
                  io.on('connection', (socket) => io.emit('joined', socket.id));\n\
                  server.listen(process.env.PORT);\n\
                  process.on('SIGINT', () => server.close(() => process.exit(0)));\n";
    assert_eq!(found(source), [("sticky-socket", 3)]);
    let shared = source.replace("(server);", "(server, { adapter: createAdapter(pub, sub) });");
    assert_eq!(found(&shared), [("sticky-polling", 3)]);
    let settled = shared.replace("{ adapter", "{ transports: ['websocket'], adapter");
    assert_eq!(found(&settled), []);
}
