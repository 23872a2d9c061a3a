import Koa from 'koa';
const app = new Koa();
app.use((context) => { context.body = 'koa'; });
app.listen(Number(process.env.PORT));
