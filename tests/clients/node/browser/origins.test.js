// Pages of which origins may connect: Chromium itself enforces what the server's headers say.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startDevelopment, startServer } from '../support/server.js';
import { Stage } from '../support/stage.js';
import { startBrowser } from './support/browser.js';
import { brokenLadder, emulation, everyTransport, ladder } from './support/places.js';

let browser;
let server;
before(async () => {
  browser = await startBrowser();
  server = await startServer(everyTransport(browser.origin('good.test'), 'http://*.good.test:*'));
});
after(() => Promise.all([server?.stop(), browser?.stop()]));

const page = (t, host) => browser.open(t, `${browser.origin(host)}/index.html`);
const connectQuery = (t) => encodeURIComponent(JSON.stringify({ token: new Stage(t, server).token('alice') }));

for (const host of ['good.test', 'sub.good.test']) {
  describe(`a page of ${host}, which is allowed`, () => {
    for (const [name, broken] of [
      ['websocket', []], ['http_stream', ['websocket']], ['sse', ['websocket', 'http_stream']],
    ]) {
      test(`connects over ${name}`, async (t) => {
        const opened = await page(t, host);
        const options = { token: new Stage(t, server).token('alice'), ...emulation(server.port) };
        const channel = new Stage(t, server).channel('live');
        await opened.page.evaluate(
          ([...given]) => connect(...given), ['json', brokenLadder(server.port, broken), options],
        );
        assert.equal((await opened.events.take('connected')).transport, name);
        await opened.page.evaluate((given) => subscribe(given), channel);
        await opened.events.take('sub:subscribed');
      });
    }

    test('sends commands with a preflight request', async (t) => {
      const { page: inside } = await page(t, host);
      const send = ([...given]) => request(...given);
      const body = JSON.stringify({ session: 'unknown', node: 'unknown', data: '{}' });
      const { emulationEndpoint } = emulation(server.port);
      assert.equal(await inside.evaluate(send, [emulationEndpoint, 'application/json', body]), 404);
    });
  });
}

describe('a page of evil.test, which is not allowed', () => {
  test('finds no transport', async (t) => {
    const { page: inside, events } = await page(t, 'evil.test');
    const options = { token: new Stage(t, server).token('alice'), ...emulation(server.port) };
    await inside.evaluate(([...given]) => connect(...given), ['json', ladder(server.port), options]);
    // One for each transport, and the first one again.
    await events.takeMany('error', 4);
    assert.deepEqual(events.rest('connected'), []);
  });

  test('cannot send commands', async (t) => {
    const { page: inside } = await page(t, 'evil.test');
    const send = ([...given]) => request(...given);
    const { emulationEndpoint } = emulation(server.port);
    assert.equal(await inside.evaluate(send, [emulationEndpoint, 'application/json', '{}']), 'TypeError');
    assert.equal(await inside.evaluate(send, [emulationEndpoint, 'text/plain', '{}']), 'TypeError');
  });

  test('hears nothing of unidirectional transports', async (t) => {
    const { page: inside, events } = await page(t, 'evil.test');
    const base = `//127.0.0.1:${server.port}/connection`;
    await inside.evaluate((url) => listen(url), `http:${base}/uni_sse?cf_connect=${connectQuery(t)}`);
    assert.deepEqual(await events.take('error'), { name: 'error', closed: true });
    await inside.evaluate(([...given]) => stream(...given), [`http:${base}/uni_http_stream`, {}]);
    assert.equal((await events.take('error')).reason, 'TypeError');
    await inside.evaluate((url) => converse(url), `ws:${base}/uni_websocket?cf_connect=${connectQuery(t)}`);
    assert.equal((await events.take('close')).code, 1006);
    assert.deepEqual(events.rest('message'), []);
  });
});

describe('the development mode', () => {
  let development;
  before(async () => (development = await startDevelopment()));
  after(() => development?.stop());

  for (const [name, broken] of [
    ['websocket', []], ['http_stream', ['websocket']], ['sse', ['websocket', 'http_stream']],
  ]) {
    test(`serves a page of this machine over ${name}`, async (t) => {
      const { page: inside, events } = await page(t, 'localhost');
      const options = { token: development.token, ...emulation(development.port) };
      await inside.evaluate(
        ([...given]) => connect(...given), ['json', brokenLadder(development.port, broken), options],
      );
      assert.equal((await events.take('connected')).transport, name);
      await inside.evaluate((channel) => subscribe(channel), 'news');
      await events.take('sub:subscribed');
      await development.publish('news', { name });
      assert.deepEqual((await events.take('sub:publication')).data, { name });
    });
  }

  test('refuses pages from elsewhere', async (t) => {
    const { page: inside, events } = await page(t, 'evil.test');
    const options = { token: development.token, ...emulation(development.port) };
    await inside.evaluate(([...given]) => connect(...given), ['json', ladder(development.port), options]);
    await events.takeMany('error', 4);
    assert.deepEqual(events.rest('connected'), []);
  });

  test('shows on its page what is published, and who is connected', async (t) => {
    const { page: inside } = await browser.open(t, `http://localhost:${development.port}/`);
    await inside.waitForSelector('#status[data-state=connected]');
    await development.publish('news', { text: 'seen on the page' });
    await inside.getByText('seen on the page').first().waitFor();
    await inside.locator('#connections tr').first().waitFor();
  });
});
