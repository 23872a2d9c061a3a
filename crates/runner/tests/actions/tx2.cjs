// The same with the smaller library.
const tx2 = require('tx2');
tx2.metric({ name: 'Realtime Users', value: () => 42 });
tx2.action('hello', (reply) => reply({ hello: 'world' }));
tx2.action('with params', (params, reply) => reply({ params }));
setInterval(() => {}, 1e6);
