// Custom actions and metrics as with PM2's own library.
const io = require('@pm2/io');
io.metric({ name: 'Realtime Users', id: 'app/users', value: () => 42 });
io.action('hello', (reply) => reply({ hello: 'world' }));
io.action('with params', (params, reply) => reply({ params }));
setInterval(() => {}, 1e6);
