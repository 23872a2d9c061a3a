// What a configuration file finds of Node.js. Evaluated once per run as a function of `host`, which reads for it, and
// `facts`, which say on what machine it is. Everything else of Node.js is there by name and says, when it is used, that
// it is not.
(function (host, facts) {
  'use strict';

  const { stringify } = JSON;
  const text = (value) => (typeof value === 'string' ? value : show(value, 0));

  function show(value, depth) {
    if (typeof value === 'string') return depth ? `'${value}'` : value;
    if (typeof value === 'function') return `[Function: ${value.name || 'anonymous'}]`;
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    if (value === null || typeof value !== 'object') return String(value);
    if (depth > 2) return Array.isArray(value) ? '[Array]' : '[Object]';
    if (Array.isArray(value)) return `[ ${value.map((item) => show(item, depth + 1)).join(', ')} ]`;
    return `{ ${Object.keys(value).map((key) => `${key}: ${show(value[key], depth + 1)}`).join(', ')} }`;
  }

  function format(first, ...rest) {
    let line = text(first);
    if (typeof first === 'string') {
      line = line.replace(/%[sdijoO]/g, (mark) => (rest.length ? text(rest.shift()) : mark));
    }
    return [line, ...rest.map(text)].join(' ');
  }

  const log = (...words) => host.log(format(...words));
  const console = {};
  for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table']) console[name] = log;
  for (const name of ['group', 'groupEnd', 'time', 'timeEnd', 'assert', 'count', 'clear']) console[name] = () => {};

  // A module that is not here: naming it is harmless, using it is said.
  function absent(name) {
    const refuse = (property) => {
      if (typeof property === 'symbol' || property === 'then' || property === '__esModule') return undefined;
      const what = property === undefined ? name : `${name}.${String(property)}`;
      return function refused() {
        throw new Error(`${what} is not available while a configuration is imported, which reads files below its folder and nothing else`);
      };
    };
    return new Proxy(refuse(undefined), { get: (_, property) => refuse(property) });
  }

  function clean(path) {
    const absolute = path.startsWith('/');
    const parts = [];
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue;
      if (part === '..' && parts.length && parts[parts.length - 1] !== '..') parts.pop();
      else if (part !== '..' || !absolute) parts.push(part);
    }
    return (absolute ? '/' : '') + parts.join('/') || (absolute ? '/' : '.');
  }

  const path = {
    sep: '/',
    delimiter: ':',
    normalize: (one) => clean(one) + (one.length > 1 && one.endsWith('/') && clean(one) !== '/' ? '/' : ''),
    join: (...parts) => path.normalize(parts.filter((part) => check(part) !== '').join('/') || '.'),
    resolve(...parts) {
      let result = '';
      for (const part of [facts.cwd, ...parts]) result = check(part).startsWith('/') ? part : `${result}/${part}`;
      return clean(result);
    },
    isAbsolute: (one) => one.startsWith('/'),
    dirname(one) {
      const stripped = one.replace(/\/+$/, '');
      const end = stripped.lastIndexOf('/');
      return end < 0 ? '.' : end === 0 ? '/' : stripped.slice(0, end);
    },
    basename(one, suffix) {
      const base = one.replace(/\/+$/, '').split('/').pop();
      return suffix && base !== suffix && base.endsWith(suffix) ? base.slice(0, -suffix.length) : base;
    },
    extname(one) {
      const base = path.basename(one);
      const dot = base.lastIndexOf('.');
      return dot > 0 ? base.slice(dot) : '';
    },
    relative(from, to) {
      const [a, b] = [from, to].map((one) => path.resolve(one).split('/').filter(Boolean));
      let same = 0;
      while (same < a.length && same < b.length && a[same] === b[same]) same++;
      return [...a.slice(same).map(() => '..'), ...b.slice(same)].join('/');
    },
    parse(one) {
      const ext = path.extname(one);
      const base = path.basename(one);
      const dir = one.includes('/') ? path.dirname(one) : '';
      return { root: one.startsWith('/') ? '/' : '', dir, base, ext, name: ext ? base.slice(0, -ext.length) : base };
    },
    format: (one) => [one.dir || one.root, one.base || `${one.name || ''}${one.ext || ''}`].filter(Boolean).join('/'),
  };
  path.posix = path;

  function check(part) {
    if (typeof part !== 'string') throw new TypeError(`a path must be a string, but it is ${typeof part}`);
    return part;
  }

  const cpu = { model: 'cpu', speed: 2000, times: { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 } };
  const told = (name, value) => () => {
    host.touch(`os.${name}`);
    return value;
  };
  const os = {
    EOL: '\n',
    cpus: () => Array.from({ length: facts.cpus }, () => ({ ...cpu })),
    availableParallelism: () => facts.cpus,
    platform: () => 'linux',
    type: () => 'Linux',
    arch: () => 'x64',
    endianness: () => 'LE',
    tmpdir: () => '/tmp',
    homedir: told('homedir()', facts.env.HOME || '/root'),
    hostname: told('hostname()', 'localhost'),
    totalmem: told('totalmem()', 8 * 1024 ** 3),
    freemem: told('freemem()', 4 * 1024 ** 3),
    release: told('release()', '6.0.0'),
    uptime: told('uptime()', 1),
    loadavg: told('loadavg()', [0, 0, 0]),
    networkInterfaces: told('networkInterfaces()', {}),
    userInfo: told('userInfo()', { username: 'node', uid: 1000, gid: 1000, homedir: '/tmp', shell: '/bin/sh' }),
    constants: { signals: {} },
  };

  class Text extends String {
    toString() {
      return String(this.valueOf());
    }
  }
  const content = (file, options) => {
    const got = host.read(place(file));
    return options ? got : new Text(got);
  };
  const place = (file) => path.resolve(file && typeof file === 'object' && file.pathname ? file.pathname : file);
  const kind = (file) => {
    const what = host.stat(place(file));
    if (!what) {
      const error = new Error(`ENOENT: no such file or directory, '${file}'`);
      error.code = 'ENOENT';
      throw error;
    }
    return { isFile: () => what === 'file', isDirectory: () => what === 'dir', isSymbolicLink: () => false };
  };
  const fsWrites = ['writeFile', 'appendFile', 'mkdir', 'rm', 'rmdir', 'unlink', 'rename', 'copyFile', 'chmod', 'symlink'];
  const fs = {
    readFileSync: content,
    existsSync: (file) => Boolean(host.stat(place(file))),
    statSync: (file, options) => (options && options.throwIfNoEntry === false && !host.stat(place(file)) ? undefined : kind(file)),
    accessSync: (file) => void kind(file),
    realpathSync: (file) => host.realpath(place(file)),
    readdirSync(file, options) {
      const names = host.list(place(file));
      return options && options.withFileTypes ? names.map((name) => ({ name, ...kind(`${place(file)}/${name}`) })) : names;
    },
    constants: { F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 },
  };
  fs.lstatSync = fs.statSync;
  const later = (run) => async (...words) => run(...words);
  fs.promises = {
    readFile: later(fs.readFileSync),
    stat: later(fs.statSync),
    access: later(fs.accessSync),
    readdir: later(fs.readdirSync),
  };
  for (const name of fsWrites) {
    fs[`${name}Sync`] = absent('fs')[`${name}Sync`];
    fs.promises[name] = absent('fs')[name];
  }

  const unescape = (url) => decodeURIComponent(url.replace(/^file:\/\//, ''));
  class URL {
    constructor(given, base) {
      let href = String(given);
      if (!/^[a-z][-+.a-z0-9]*:/i.test(href)) {
        if (base === undefined) throw new TypeError('Invalid URL');
        const from = new URL(base);
        const start = href.startsWith('/') ? '' : from.pathname.replace(/[^/]*$/, '');
        const folder = /(^|\/)\.{0,2}$/.test(href) ? '/' : '';
        href = `${from.protocol}//${from.host}${clean(`${start}${href}`).replace(/\/$/, '')}${folder}`;
      }
      const [, protocol, , authority = '', pathname, search = '', hash = ''] =
        /^([^:]+:)(\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?$/.exec(href) || [];
      const [, username = '', password = '', hostname = '', port = ''] = (
        /^(?:([^:@]*)(?::([^@]*))?@)?([^:]*)(?::(\d+))?$/.exec(authority) || []
      ).map((part) => part || '');
      Object.assign(this, { href, protocol, username, password, hostname, port, search, hash });
      this.host = port ? `${hostname}:${port}` : hostname;
      this.pathname = pathname || '/';
      this.origin = `${protocol}//${this.host}`;
    }
    toString() {
      return this.href;
    }
  }
  const url = {
    URL,
    fileURLToPath: (one) => unescape(String(one)),
    pathToFileURL: (one) => new URL(`file://${encodeURI(path.resolve(one))}`),
    parse: (one) => new URL(one),
  };

  const util = {
    format,
    inspect: (value) => show(value, 1),
    promisify: (run) => (...words) => new Promise((done, fail) => run(...words, (error, value) => (error ? fail(error) : done(value)))),
    isDeepStrictEqual: (a, b) => stringify(a) === stringify(b),
    deprecate: (run) => run,
    types: {},
  };

  function assert(value, message) {
    if (!value) throw message instanceof Error ? message : new Error(message || 'the assertion failed');
  }
  assert.ok = assert;
  assert.equal = assert.strictEqual = (a, b, message) => assert(a === b, message || `${show(a, 1)} is not ${show(b, 1)}`);

  // Variables that the file looked at, and those that it set itself, as dotenv does.
  const looked = new Set();
  const assigned = new Set();
  const env = new Proxy({ ...facts.env }, {
    get(all, name) {
      if (typeof name === 'string') looked.add(name);
      return all[name];
    },
    has(all, name) {
      looked.add(String(name));
      return name in all;
    },
    set(all, name, value) {
      assigned.add(name);
      all[name] = String(value);
      return true;
    },
    ownKeys(all) {
      host.touch('process.env as a whole');
      return Reflect.ownKeys(all);
    },
  });

  const nothing = () => process;
  const process = {
    env,
    argv: ['node', 'pm2', 'start', facts.file, ...(facts.profile ? ['--env', facts.profile] : [])],
    execArgv: [],
    execPath: '/usr/local/bin/node',
    platform: 'linux',
    arch: 'x64',
    pid: 1,
    ppid: 0,
    title: 'node',
    version: 'v22.0.0',
    versions: { node: '22.0.0', v8: '12.4' },
    release: { name: 'node' },
    exitCode: undefined,
    stdout: { write: (line) => log(String(line).replace(/\n$/, '')), isTTY: false },
    stderr: { write: (line) => log(String(line).replace(/\n$/, '')), isTTY: false },
    cwd: () => facts.cwd,
    uptime: () => 1,
    memoryUsage: () => ({ rss: 0, heapUsed: 0, heapTotal: 0 }),
    hrtime: Object.assign(() => [0, 0], { bigint: () => 0n }),
    nextTick: (run, ...words) => void Promise.resolve().then(() => run(...words)),
    getuid: () => 1000,
    getgid: () => 1000,
    emitWarning: (warning) => log(text(warning)),
    exit(code) {
      throw new Error(`the file ends the process by process.exit(${code === undefined ? '' : code}) before it has said anything`);
    },
    chdir: absent('process').chdir,
    kill: absent('process').kill,
  };
  for (const name of ['on', 'once', 'off', 'emit', 'addListener', 'removeListener', 'removeAllListeners']) process[name] = nothing;

  // Time does not pass by itself: what waits is called in order when nothing else is left to do.
  const waiting = [];
  const wait = (run, delay = 0, ...words) => {
    const timer = { at: delay, run: () => run(...words), unref: () => timer, ref: () => timer };
    waiting.push(timer);
    return timer;
  };
  const forget = (timer) => {
    const index = waiting.indexOf(timer);
    if (index >= 0) waiting.splice(index, 1);
  };
  function tick() {
    if (!waiting.length) return false;
    waiting.sort((a, b) => a.at - b.at);
    waiting.shift().run();
    return true;
  }

  const modules = {
    os,
    path,
    'path/posix': path,
    fs,
    'fs/promises': fs.promises,
    url,
    util,
    assert,
    process,
    timers: { setTimeout: wait, clearTimeout: forget },
    console,
  };
  modules.module = { createRequire: (from) => requireFrom(unescape(String(from))), builtinModules: [] };
  const builtin = (name) => modules[name] || (modules[name] = absent(name));

  const cache = Object.create(null);
  function requireFrom(file) {
    const resolve = (name) => {
      if (typeof name !== 'string') throw new TypeError('require() takes the name of a module');
      return host.resolve(file, name);
    };
    const require = (name) => {
      const found = resolve(name);
      return found.startsWith('node:') ? builtin(found.slice(5)) : load(found);
    };
    require.resolve = resolve;
    require.cache = cache;
    require.main = undefined;
    return require;
  }

  function load(file) {
    if (cache[file]) return cache[file].exports;
    const module = { id: file, filename: file, exports: {}, loaded: false, children: [], paths: [] };
    cache[file] = module;
    try {
      if (file.endsWith('.json')) {
        module.exports = JSON.parse(host.read(file).replace(/^\uFEFF/, ''));
      } else {
        const require = requireFrom(file);
        host.compile(file).call(module.exports, module.exports, require, module, file, path.dirname(file));
      }
    } catch (error) {
      delete cache[file];
      if (error instanceof SyntaxError && file.endsWith('.json')) error.message = `${facts.short(file)} is no JSON: ${error.message}`;
      throw error;
    }
    module.loaded = true;
    return module.exports;
  }
  facts.short = (file) => (file.startsWith(`${facts.cwd}/`) ? file.slice(facts.cwd.length + 1) : file);

  Object.assign(globalThis, {
    global: globalThis,
    console,
    process,
    URL,
    setTimeout: wait,
    setImmediate: (run, ...words) => wait(run, 0, ...words),
    setInterval: () => ({ unref: nothing, ref: nothing }),
    clearTimeout: forget,
    clearInterval: () => {},
    clearImmediate: forget,
    structuredClone: (value) => JSON.parse(stringify(value)),
    fetch: absent('fetch'),
    Buffer: absent('Buffer'),
    WebSocket: absent('WebSocket'),
    Worker: absent('Worker'),
  });

  const name = /^[A-Za-z_$][\w$]*$/;
  return {
    load,
    tick,
    module: (found) => (found.startsWith('node:') ? builtin(found.slice(5)) : load(found)),
    names: (value) =>
      value === null || (typeof value !== 'object' && typeof value !== 'function')
        ? []
        : Object.keys(value).filter((key) => name.test(key) && key !== 'default'),
    // Numbers without end have no JSON; the largest one means the same to who reads limits.
    serialise(value) {
      for (const variable of looked) if (!assigned.has(variable)) host.variable(variable);
      return stringify(value && value.__esModule && value.default ? value.default : value, (_, item) =>
        typeof item === 'number' && !Number.isFinite(item) ? (item > 0 ? Number.MAX_VALUE : null) : item,
      );
    },
  };
});
