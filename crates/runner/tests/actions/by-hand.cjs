// The same without a library.
const say = (type, data) => process.send({ type: `axm:${type}`, data });
say('action', { action_name: 'hello', arity: 1 });
say('action', { action_name: 'with params', arity: 2 });
say('monitor', { 'Realtime Users': { value: 42, unit: 'users' } });
process.on('message', (message) => {
  if (message === 'hello') say('reply', { action_name: 'hello', return: { hello: 'world' } });
  if (message.msg === 'with params') {
    say('reply', { action_name: 'with params', return: { params: message.opts } });
  }
});
