// The transports over TLS, where Chromium chooses HTTP/2 for streams and requests.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { makeCertificate } from '../support/certificate.js';
import { freePort, startServer } from '../support/server.js';
import { Stage } from '../support/stage.js';
import { startBrowser } from './support/browser.js';
import { brokenLadder, everyTransport, secure } from './support/places.js';

let browser;
let server;
before(async () => {
  browser = await startBrowser();
  const { cert_pem, key_pem } = await makeCertificate();
  server = await startServer({
    ...everyTransport(browser.origin()),
    http_server: {
      tls: { enabled: true, cert_pem, key_pem },
      tls_external: true,
      internal_port: String(await freePort()),
    },
  });
});
after(() => Promise.all([server?.stop(), browser?.stop()]));

/** Opens the page; `spoken` are the protocols of the answers from the server, by path, and statuses of handshakes. */
async function open(t) {
  const { page, events } = await browser.open(t, undefined, { ignoreHTTPSErrors: true });
  const spoken = new Map();
  const session = await page.context().newCDPSession(page);
  session.on('Network.responseReceived', ({ response }) => spoken.set(new URL(response.url).pathname, response.protocol));
  session.on('Network.webSocketHandshakeResponseReceived', ({ response }) => spoken.set('handshake', response.status));
  await session.send('Network.enable');
  return { page, events, spoken };
}

for (const [build, name, broken] of [
  ['json', 'websocket', []],
  ['protobuf', 'websocket', []],
  ['json', 'http_stream', ['websocket']],
  ['protobuf', 'http_stream', ['websocket']],
  ['json', 'sse', ['websocket', 'http_stream']],
]) {
  test(`the official client, ${build} over ${name}`, async (t) => {
    const { page, events, spoken } = await open(t);
    const stage = new Stage(t, server);
    const channel = stage.channel('chat');
    const options = {
      token: stage.token('alice'),
      emulationEndpoint: `https://127.0.0.1:${server.port}/emulation`,
    };
    const transports = secure(brokenLadder(server.port, broken));
    await page.evaluate(([...given]) => connect(...given), [build, transports, options]);
    assert.equal((await events.take('connected')).transport, name);
    await page.evaluate((given) => subscribe(given), channel);
    await events.take('sub:subscribed');
    await page.evaluate(([...given]) => publish(...given), [build, channel, { n: 1 }]);
    assert.deepEqual((await events.take('sub:publication')).data, { n: 1 });
    if (name !== 'websocket') {
      assert.equal(spoken.get('/emulation'), 'h2');
      assert.equal(spoken.get(`/connection/${name}`), 'h2');
    }
  });
}

test('more streams at once than HTTP/1.1 has connections for', async (t) => {
  const { page, events, spoken } = await open(t);
  const connect = encodeURIComponent(JSON.stringify({ token: new Stage(t, server).token('alice') }));
  const url = `https://127.0.0.1:${server.port}/connection/uni_sse?cf_connect=${connect}`;
  for (let n = 0; n < 20; n += 1) await page.evaluate((address) => listen(address), url);
  const pushes = await events.takeMany('message', 20);
  assert.equal(new Set(pushes.map(({ data }) => data.connect.client)).size, 20);
  assert.equal(spoken.get('/connection/uni_sse'), 'h2');
});

test('a WebSocket on the HTTP/2 connection that is there already', async (t) => {
  const { page, events, spoken } = await open(t);
  const stage = new Stage(t, server);
  const channel = stage.channel('chat');
  // With cookies, as the handshake of a WebSocket; other requests have connections of their own.
  await page.evaluate(
    (address) => fetch(address, { method: 'POST', credentials: 'include' }), `https://127.0.0.1:${server.port}/emulation`,
  );
  const transports = secure(brokenLadder(server.port, []));
  await page.evaluate(([...given]) => connect(...given), ['json', transports, { token: stage.token('alice') }]);
  assert.equal((await events.take('connected')).transport, 'websocket');
  // An extended CONNECT is answered with 200, an upgrade with 101.
  assert.equal(spoken.get('handshake'), 200);
  await page.evaluate((given) => subscribe(given), channel);
  await events.take('sub:subscribed');
  await server.publish(channel, { n: 1 });
  assert.deepEqual((await events.take('sub:publication')).data, { n: 1 });
});
