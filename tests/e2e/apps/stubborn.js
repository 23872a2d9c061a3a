// web.js that ignores every polite request to end.
'use strict';
require('./web.js');

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => console.log(`${signal}: ignored`));
}
// Work of its own; otherwise Node.js ends by itself once the server is closed.
setInterval(() => {}, 1000);
