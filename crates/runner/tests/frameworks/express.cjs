const app = require('express')();
app.get('/', (request, response) => response.send('express'));
app.listen(Number(process.env.PORT));
