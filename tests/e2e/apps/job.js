// A job: works for a moment, says so, and ends with the code it was given.
setTimeout(() => {
  console.log('done');
  process.exitCode = Number(process.env.CODE ?? 0);
}, 500);
