// Where a client finds a server, or what is in between.

const STREAMS = {
  http_stream: { enabled: true },
  sse: { enabled: true },
  uni_websocket: { enabled: true },
  uni_sse: { enabled: true },
  uni_http_stream: { enabled: true },
};

/** Options of a server with every transport for browsers, which lets in the pages of these origins. */
export function everyTransport(...origins) {
  return { ...STREAMS, client: { allowed_origins: origins } };
}

/** The transports in the order in which they are to be tried, behind a port. */
export function ladder(port) {
  return [
    { transport: 'websocket', endpoint: `ws://127.0.0.1:${port}/connection/websocket` },
    { transport: 'http_stream', endpoint: `http://127.0.0.1:${port}/connection/http_stream` },
    { transport: 'sse', endpoint: `http://127.0.0.1:${port}/connection/sse` },
  ];
}

/** The same with paths that lead nowhere for those that shall not work. */
export function brokenLadder(port, broken) {
  return ladder(port).map(({ transport, endpoint }) => ({
    transport,
    endpoint: broken.includes(transport) ? endpoint.replace('/connection/', '/nowhere/') : endpoint,
  }));
}

export function emulation(port) {
  return { emulationEndpoint: `http://127.0.0.1:${port}/emulation` };
}

/** The same transports over TLS. */
export function secure(transports) {
  return transports.map(({ transport, endpoint }) => ({
    transport,
    endpoint: endpoint.replace('ws://', 'wss://').replace('http://', 'https://'),
  }));
}
