// Says one line in each way that apps say lines, and lives on.
'use strict';

console.log('plain words');
console.log(JSON.stringify({ level: 30, msg: 'an object of its own', pid: 'mine' }));
console.error('bad news');
setInterval(() => {}, 60_000);
