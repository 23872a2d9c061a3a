// Load over HTTP/2 until standard input ends: KIND PORT. A stream that the server
// says it has not processed is sent again, as HTTP/2 clients do; anything else
// that goes wrong has failed. Prints its counts as JSON, and a line per 100 answers.
const http2 = require('node:http2');
const [kind, port] = process.argv.slice(2);
const origin = `${kind === 'h2' ? 'https' : 'http'}://127.0.0.1:${port}`;
const counts = { answered: 0, refused: 0, connections: 0, failed: {} };
let stop = false;
let open = 0;

function client() {
  let session;
  const connect = () => {
    counts.connections += 1;
    session = http2.connect(origin, { rejectUnauthorized: false });
    session.on('error', () => {});
  };
  const next = () => {
    if (stop) return;
    if (!session || session.closed || session.destroyed) connect();
    const request = session.request({ ':path': '/' });
    let status;
    let problem;
    open += 1;
    request.on('response', (headers) => { status = headers[':status']; });
    request.on('error', (error) => { problem = error; });
    request.on('close', () => {
      open -= 1;
      if (status === 200 && !problem) {
        counts.answered += 1;
        if (counts.answered % 100 === 0) process.stdout.write('.\n');
      } else if (request.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM) counts.refused += 1;
      else {
        const what = `${problem ? problem.code : 'no answer'} ${request.rstCode}`;
        counts.failed[what] = (counts.failed[what] || 0) + 1;
      }
      if (stop && open === 0) end();
      else setTimeout(next, 1);
    });
    request.resume();
  };
  for (let i = 0; i < 10; i++) next();
}

function end() {
  process.stdout.write(`${JSON.stringify(counts)}\n`);
  process.exit();
}

process.stdin.on('end', () => {
  stop = true;
  if (open === 0) end();
}).resume();
for (let i = 0; i < 3; i++) client();
