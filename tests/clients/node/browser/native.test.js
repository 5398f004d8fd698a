// What a page can do without any client library: EventSource, WebSocket and fetch against the unidirectional transports.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Cable } from '../support/cable.js';
import { startServer } from '../support/server.js';
import { Stage } from '../support/stage.js';
import { startBrowser } from './support/browser.js';
import { everyTransport } from './support/places.js';

let browser;
let server;
before(async () => {
  browser = await startBrowser();
  server = await startServer(everyTransport(browser.origin()));
});
after(() => Promise.all([server?.stop(), browser?.stop()]));

/** A connect request of a user that the server subscribes to `live:one`. */
function request(t, user = 'alice') {
  return { token: new Stage(t, server).token(user, { channels: ['live:one'] }) };
}

function address(port, path, query) {
  const text = query ? `?cf_connect=${encodeURIComponent(JSON.stringify(query))}` : '';
  return `//127.0.0.1:${port}/connection/${path}${text}`;
}

/** The connect push comes first, then what is published. */
async function hears(events) {
  const first = await events.take('message');
  assert.ok(first.data.connect.client);
  assert.deepEqual(Object.keys(first.data.connect.subs), ['live:one']);
  await server.publish('live:one', { text: 'é€😀' });
  assert.deepEqual((await events.take('message')).data, { channel: 'live:one', pub: { data: { text: 'é€😀' } } });
}

test('EventSource hears pushes of uni_sse', async (t) => {
  const { page, events } = await browser.open(t);
  await page.evaluate((url) => listen(url), `http:${address(server.port, 'uni_sse', request(t))}`);
  await events.take('open');
  await hears(events);
});

test('EventSource comes back by itself after a lost connection', async (t) => {
  const cable = await Cable.lay(server.port);
  t.after(() => cable.remove());
  const { page, events } = await browser.open(t);
  await page.evaluate((url) => listen(url), `http:${address(cable.port, 'uni_sse', request(t))}`);
  await hears(events);
  cable.cut();
  assert.equal((await events.take('error')).closed, false);
  cable.mend();
  await hears(events);
});

test('EventSource is told a disconnect before the stream ends', async (t) => {
  const { page, events } = await browser.open(t);
  const user = new Stage(t, server).user();
  await page.evaluate((url) => listen(url), `http:${address(server.port, 'uni_sse', request(t, user))}`);
  await hears(events);
  await server.api('disconnect', { user, disconnect: { code: 4501, reason: 'enough' } });
  assert.deepEqual((await events.take('message')).data, { disconnect: { code: 4501, reason: 'enough' } });
});

for (const [how, query, first] of [['in its first message', false, true], ['in the address', true, false]]) {
  test(`WebSocket with its connect request ${how} hears pushes of uni_websocket`, async (t) => {
    const { page, events } = await browser.open(t);
    const user = new Stage(t, server).user();
    const wanted = request(t, user);
    const url = `ws:${address(server.port, 'uni_websocket', query ? wanted : undefined)}`;
    await page.evaluate(([...given]) => converse(...given), [url, first ? wanted : undefined]);
    await hears(events);
    await server.api('disconnect', { user, disconnect: { code: 4501, reason: 'enough' } });
    assert.deepEqual((await events.take('message')).data, { disconnect: { code: 4501, reason: 'enough' } });
    const { code, reason, wasClean } = await events.take('close');
    assert.deepEqual([code, reason, wasClean], [4501, 'enough', true]);
  });
}

test('fetch reads uni_http_stream as it comes', async (t) => {
  const { page, events } = await browser.open(t);
  const user = new Stage(t, server).user();
  void page.evaluate(
    ([...given]) => stream(...given), [`http:${address(server.port, 'uni_http_stream')}`, request(t, user)],
  ).catch(() => {}); // the page may close first
  assert.equal((await events.take('open')).status, 200);
  await hears(events);
  await server.api('disconnect', { user, disconnect: { code: 4501, reason: 'enough' } });
  assert.deepEqual((await events.take('message')).data, { disconnect: { code: 4501, reason: 'enough' } });
  await events.take('end');
});

test('a refused token is a disconnect in each stream', async (t) => {
  const { page, events } = await browser.open(t);
  const expired = { token: new Stage(t, server).token('alice', { exp: 1 }) };
  const code = async () => (await events.take('message')).data.disconnect.code;
  await page.evaluate((url) => listen(url), `http:${address(server.port, 'uni_sse', expired)}`);
  assert.equal(await code(), 3005);
  await page.evaluate(([...given]) => converse(...given), [`ws:${address(server.port, 'uni_websocket')}`, expired]);
  assert.equal(await code(), 3005);
  await page.evaluate(
    ([...given]) => stream(...given), [`http:${address(server.port, 'uni_http_stream')}`, expired],
  );
  await events.take('end');
});
