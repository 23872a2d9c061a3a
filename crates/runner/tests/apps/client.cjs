// Asks a server of a kind once and prints what it answers: KIND PORT PATH.
const [kind, port, path] = process.argv.slice(2);
const print = (text) => process.stdout.write(`${text}\n`);
const fail = (error) => { print(`failed: ${error.code || error}`); process.exitCode = 1; };
const collect = (stream) => {
  let text = '';
  stream.setEncoding('utf8').on('data', (part) => { text += part; }).on('end', () => print(text)).on('error', fail);
};
if (kind === 'net') collect(require('node:net').connect(port, '127.0.0.1').on('error', fail));
else if (kind === 'http' || kind === 'https') {
  const options = { host: '127.0.0.1', port, path, rejectUnauthorized: false };
  require(`node:${kind}`).get(options, collect).on('error', fail);
} else {
  const scheme = kind === 'h2' ? 'https' : 'http';
  const session = require('node:http2').connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false });
  session.on('error', fail);
  const request = session.request({ ':path': path }).on('error', fail);
  request.on('close', () => session.close());
  collect(request);
}
