module.exports = [{ name: 'a', script: 'a.js' }, { name: 'b', script: 'b.js', instances: 2 }];
