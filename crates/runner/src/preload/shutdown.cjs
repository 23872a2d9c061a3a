// --- shutdown by message -------------------------------------------------------
// Node.js takes a message in also where the app does not listen for any. The
// runner sends this one after 'shutdown'; only inner listeners see it, and it
// keeps no process alive.

function tellWhetherAnybodyListens(channel) {
  if (!process.channel) return;
  process.on('internalMessage', guarded((message) => {
    if (message?.cmd === 'NODE_NODEAPP_SHUTDOWN' && process.listenerCount('message') === 0) {
      channel.send({ t: 'deaf' });
    }
  }));
}

