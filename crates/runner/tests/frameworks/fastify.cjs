const fastify = require('fastify')();
fastify.get('/', async () => 'fastify');
const host = process.env.LISTEN_HOST;
fastify.listen({ port: Number(process.env.PORT), ...(host ? { host } : {}) });
