// --- Connection: close, also against an app that sets the header itself ------

function closeAfter(response) {
  if (response.headersSent) return;
  const store = response._storeHeader;
  response.shouldKeepAlive = false;
  response._storeHeader = function (firstLine, headers) {
    return store.call(this, firstLine, this.statusCode === 101 ? headers : closing(this, headers));
  };
}

function closing(response, headers) {
  try {
    response.shouldKeepAlive = false;
    if (response.getHeaderNames().length === 0) return withoutConnection(headers);
    response.setHeader('Connection', 'close');
  } catch {
    // The header stays as the app wants it.
  }
  return headers;
}

const isConnection = (name) => /^connection$/i.test(String(name));

function withoutConnection(headers) {
  if (!headers) return headers;
  if (Array.isArray(headers)) {
    if (Array.isArray(headers[0])) return headers.filter(([name]) => !isConnection(name));
    return headers.filter((_, at) => !isConnection(headers[at - (at % 2)]));
  }
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isConnection(name)));
}

