// The official client in Chromium, over every transport that it knows for browsers.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Cable } from '../support/cable.js';
import { startServer } from '../support/server.js';
import { Stage } from '../support/stage.js';
import { startBrowser } from './support/browser.js';
import { brokenLadder, emulation, everyTransport, ladder } from './support/places.js';

let browser;
let server;
before(async () => {
  browser = await startBrowser();
  server = await startServer(everyTransport(browser.origin()));
});
after(() => Promise.all([server?.stop(), browser?.stop()]));

/** Opens the page and connects; `told` is what the client said of it. */
async function connected(t, build, transports, options = {}) {
  const { page, events } = await browser.open(t);
  const token = new Stage(t, server).token('alice');
  await page.evaluate(([...given]) => connect(...given), [build, transports, { token, ...options }]);
  return { page, events, told: await events.take('connected') };
}

async function subscribed(page, events, channel) {
  await page.evaluate((name) => subscribe(name), channel);
  return events.take('sub:subscribed');
}

async function publications(events, count) {
  return (await events.takeMany('sub:publication', count)).map(({ data }) => data);
}

/** What every client must be able to do. */
async function works(t, { page, events }, build) {
  const channel = new Stage(t, server).channel('chat');
  await subscribed(page, events, channel);
  await page.evaluate(([...given]) => publish(...given), [build, channel, { text: 'é€😀 from the page' }]);
  await server.publish(channel, { text: 'from the backend' });
  assert.deepEqual(await publications(events, 2), [{ text: 'é€😀 from the page' }, { text: 'from the backend' }]);
  assert.equal(await page.evaluate((name) => present(name), channel), 1);
}

const STEPS = [
  ['json', 'websocket', []],
  ['json', 'http_stream', ['websocket']],
  ['json', 'sse', ['websocket', 'http_stream']],
  ['protobuf', 'websocket', []],
  ['protobuf', 'http_stream', ['websocket']],
];

describe('where paths lead nowhere', () => {
  for (const [build, name, broken] of STEPS) {
    test(`${build} ends at ${name}, where everything works`, async (t) => {
      const transports = brokenLadder(server.port, broken);
      const client = await connected(t, build, transports, emulation(server.port));
      assert.equal(client.told.transport, name);
      await works(t, client, build);
    });
  }
});

describe('where WebSockets do not get through', () => {
  for (const upgrades of ['refuse', 'ignore']) {
    test(`handshakes that something in between does ${upgrades} lead to http_stream`, async (t) => {
      const cable = await Cable.lay(server.port, upgrades);
      t.after(() => cable.remove());
      const options = { ...emulation(cable.port), timeout: 3000 };
      const client = await connected(t, 'json', ladder(cable.port), options);
      assert.equal(client.told.transport, 'http_stream');
      await works(t, client, 'json');
    });
  }

  test('without streams of fetch they lead to sse', async (t) => {
    const cable = await Cable.lay(server.port, 'refuse');
    t.after(() => cable.remove());
    const { page, events } = await browser.open(t);
    await page.evaluate(() => delete globalThis.ReadableStream);
    const options = { token: new Stage(t, server).token('alice'), ...emulation(cable.port) };
    await page.evaluate(([...given]) => connect(...given), ['json', ladder(cable.port), options]);
    assert.equal((await events.take('connected')).transport, 'sse');
    await works(t, { page, events }, 'json');
  });
});

describe('after a lost connection', () => {
  for (const [build, name, broken] of STEPS) {
    test(`${build} over ${name} recovers what it missed`, async (t) => {
      const cable = await Cable.lay(server.port);
      t.after(() => cable.remove());
      const transports = brokenLadder(cable.port, broken);
      const { page, events } = await connected(t, build, transports, emulation(cable.port));
      const channel = new Stage(t, server).channel('chat');
      await subscribed(page, events, channel);
      await server.publish(channel, { n: 1 });
      assert.deepEqual(await publications(events, 1), [{ n: 1 }]);
      await events.take('connecting');
      cable.cut();
      await events.take('connecting');
      for (const n of [2, 3, 4]) await server.publish(channel, { n });
      cable.mend();
      assert.equal((await events.take('connected')).transport, name);
      const { wasRecovering, recovered } = await events.take('sub:subscribed');
      assert.deepEqual([wasRecovering, recovered], [true, true]);
      await server.publish(channel, { n: 5 });
      assert.deepEqual(await publications(events, 4), [{ n: 2 }, { n: 3 }, { n: 4 }, { n: 5 }]);
    });
  }
});

describe('when the server disconnects', () => {
  for (const [build, name, broken] of STEPS) {
    test(`${build} over ${name} is told the code`, async (t) => {
      const user = new Stage(t, server).user();
      const options = { ...emulation(server.port), token: new Stage(t, server).token(user) };
      const { events } = await connected(t, build, brokenLadder(server.port, broken), options);
      await server.api('disconnect', { user, disconnect: { code: 4501, reason: 'enough' } });
      const { code, reason } = await events.take('disconnected');
      assert.deepEqual([code, reason], [4501, 'enough']);
    });
  }
});
