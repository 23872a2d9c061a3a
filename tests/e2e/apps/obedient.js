// web.js that does what it is told through `nodeapp-runner ctl`:
//
// trigger add {"a":1,"b":2}   answers with the sum
// trigger hang                answers, then blocks its event loop for ever
// trigger grow                answers, then takes 400 MB at once
// signal SIGUSR2              writes a line
'use strict';
require('./web.js');

const ACTIONS = {
  add: ({ a, b }) => ({ sum: a + b }),
  hang: () => ({ then: () => { for (;;); } }),
  grow: () => ({ then: () => { global.grown = Buffer.alloc(400e6, 1); } }),
};

for (const name of Object.keys(ACTIONS)) {
  process.send({ type: 'axm:action', data: { action_name: name, arity: name === 'add' ? 2 : 1 } });
}

process.on('message', (message) => {
  const name = message.msg ?? message;
  if (ACTIONS[name] === undefined) {
    return;
  }
  const { then, ...answer } = ACTIONS[name](message.opts ?? {});
  process.send({ type: 'axm:reply', data: { action_name: name, return: answer } }, then);
});

process.on('SIGUSR2', () => console.log('SIGUSR2: heard'));
