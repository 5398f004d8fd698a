// The official client over WebTransport, which Chromium has by HTTP/3.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { makeCertificate } from '../support/certificate.js';
import { freePort, startServer } from '../support/server.js';
import { Stage } from '../support/stage.js';
import { startBrowser } from './support/browser.js';
import { everyTransport } from './support/places.js';

let browser;
let server;
let hash;
before(async () => {
  browser = await startBrowser();
  const { cert_pem, key_pem, sha256 } = await makeCertificate();
  hash = [...Buffer.from(sha256, 'hex')];
  server = await startServer({
    ...everyTransport(browser.origin()),
    webtransport: { enabled: true },
    workers: '2',
    http_server: {
      http3: { enabled: true },
      tls: { enabled: true, cert_pem, key_pem },
      tls_external: true,
      internal_port: String(await freePort()),
    },
  });
});
after(() => Promise.all([server?.stop(), browser?.stop()]));

/** Opens a page that trusts the certificate, and connects it over WebTransport. */
async function connected(t, build, user) {
  const { page, events } = await browser.open(t);
  const token = new Stage(t, server).token(user);
  await page.evaluate((value) => {
    const hashes = [{ algorithm: 'sha-256', value: new Uint8Array(value) }];
    const Native = globalThis.WebTransport;
    globalThis.WebTransport = class extends Native {
      constructor(url, options) {
        super(url, { ...options, serverCertificateHashes: hashes });
      }
    };
  }, hash);
  const query = build === 'protobuf' ? '?cf_protocol=protobuf' : '';
  const endpoint = `https://127.0.0.1:${server.port}/connection/webtransport${query}`;
  const transports = [{ transport: 'webtransport', endpoint }];
  await page.evaluate(([...given]) => connect(...given), [build, transports, { token }]);
  assert.equal((await events.take('connected')).transport, 'webtransport');
  return { page, events };
}

for (const build of ['json', 'protobuf']) {
  test(`${build} subscribes, publishes, hears, and is told a disconnect`, async (t) => {
    const stage = new Stage(t, server);
    const user = stage.user();
    const channel = stage.channel('chat');
    const { page, events } = await connected(t, build, user);
    await page.evaluate((name) => subscribe(name), channel);
    await events.take('sub:subscribed');
    await page.evaluate(([...given]) => publish(...given), [build, channel, { text: 'é€😀' }]);
    await server.publish(channel, { n: 2 });
    const heard = await events.takeMany('sub:publication', 2);
    assert.deepEqual(heard.map(({ data }) => data), [{ text: 'é€😀' }, { n: 2 }]);
    await server.api('disconnect', { user, disconnect: { code: 4501, reason: 'enough' } });
    const { code, reason } = await events.take('disconnected');
    assert.deepEqual([code, reason], [4501, 'enough']);
  });
}
