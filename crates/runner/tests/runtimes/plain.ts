const words: string[] = process.argv.slice(2);

process.on('SIGINT', () => process.exit(5));
setInterval(() => {}, 1e6);
console.log(words.join(' '));
process.send?.('ready');
