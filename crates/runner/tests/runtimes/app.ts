enum Kind { Ready = 'ready' }

const answer = async (): Promise<string> => process.argv.slice(2).join(' ');

process.on('SIGINT', () => process.exit(5));
setInterval(() => {}, 1e6);
answer().then((words: string) => {
  console.log(words);
  process.send?.(Kind.Ready);
});
