// The official client over WebTransport, which Chromium has by HTTP/3.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { makeCertificate } from '../support/certificate.js';
import { freePort, startServer } from '../support/server.js';
import { Stage } from '../support/stage.js';
import { startBrowser } from './support/browser.js';
import { everyTransport } from './support/places.js';

let browser;
let folder;
let options;
let server;
let hash;
before(async () => {
  browser = await startBrowser();
  const { cert_pem, key_pem, sha256 } = await makeCertificate();
  hash = [...Buffer.from(sha256, 'hex')];
  folder = await mkdtemp(path.join(tmpdir(), 'centripetal-'));
  options = {
    ...everyTransport(browser.origin()),
    webtransport: { enabled: true },
    workers: '2',
    shutdown: { drain_time: '1s' },
    http_server: {
      port: await freePort(),
      takeover_socket: path.join(folder, 'takeover'),
      http3: { enabled: true },
      tls: { enabled: true, cert_pem, key_pem },
      tls_external: true,
      internal_port: String(await freePort()),
    },
  };
  server = await startServer(options);
});
after(async () => {
  await Promise.all([server?.stop(), browser?.stop()]);
  if (folder) await rm(folder, { recursive: true, force: true });
});

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

test('moves to a successor and misses nothing', async (t) => {
  const stage = new Stage(t, server);
  const channel = stage.channel('chat');
  const { page, events } = await connected(t, 'json', stage.user());
  await page.evaluate((name) => subscribe(name), channel);
  await events.take('sub:subscribed');
  const old = server;
  const ended = once(old.child, 'exit');
  server = await startServer(options);
  for (let n = 1; n <= 20; n++) await server.publish(channel, { n });
  assert.equal((await events.take('connected')).transport, 'webtransport');
  assert.equal((await events.take('sub:subscribed')).recovered, true);
  await server.publish(channel, { n: 21 });
  const heard = await events.takeMany('sub:publication', 21);
  assert.deepEqual(heard.map(({ data }) => data.n), Array.from({ length: 21 }, (_, index) => index + 1));
  assert.deepEqual(await ended, [0, null]);
  await old.stop();
});
