// Shared polls: clients track keys, the server asks a backend for them and pushes what changes.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Events } from './support/events.js';
import { signature, startPolled } from './support/polled.js';
import { protocols } from './support/protocols.js';
import { startServer } from './support/server.js';
import { Stage } from './support/stage.js';

const SECRET = 'secret of the tests of shared polls';
const TEXT = 'so long that a patch of it is shorter than the whole value, which is said twice; '.repeat(2);

let server;
let backend;
before(async () => {
  backend = await startPolled();
  const namespace = (name, options) => ({
    name,
    subscription_type: 'shared_poll',
    allow_subscribe_for_client: true,
    allowed_delta_types: ['fossil'],
    shared_poll: { refresh_interval: '0.2s', ...options },
  });
  server = await startServer({
    shared_poll: { hmac_secret_key: SECRET },
    channel: {
      proxy: { shared_poll_refresh: { endpoint: backend.endpoint, timeout: '2s' } },
      namespaces: [
        namespace('plain', {}),
        namespace('versioned', { mode: 'versioned', publish_enabled: true }),
        namespace('kept', { mode: 'versioned', keep_latest_data: true }),
      ],
    },
  });
});
after(async () => {
  await server.stop();
  await backend.stop();
});

for (const protocol of protocols) {
  describe(`shared polls over ${protocol.name}`, () => {
    /** A subscription that tracks keys, and its events; keys carry the channel's name, so that tests do not meet. */
    async function polled(stage, channel, options = {}) {
      const { client, events: clientEvents } = await stage.connected();
      const asked = [];
      const getSignature = async ({ keys }) => {
        asked.push(keys);
        return { signature: signature(SECRET, 'alice', channel, keys, options.seconds), keys };
      };
      const subscription = client.newSharedPollSubscription(channel, { getSignature, delta: options.delta });
      const events = new Events(subscription, 'subscribing', 'subscribed', 'unsubscribed', 'update', 'error');
      subscription.subscribe();
      await events.take('subscribing');
      await events.take('subscribed');
      const update = async () => {
        const { key, data, removed, version } = await events.take('update');
        return { key, data: removed ? null : protocol.read(data), removed: Boolean(removed), version };
      };
      return { client, clientEvents, subscription, events, update, asked };
    }

    test('a value comes at once, its changes within the interval, and a removal', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('plain');
      const key = `${channel}/a`;
      backend.set(key, { data: { n: 1 } });
      const { subscription, update } = await polled(stage, channel);
      subscription.track([key]);
      assert.deepEqual((await update()).data, { n: 1 });
      backend.set(key, { data: { n: 2 } });
      assert.deepEqual((await update()).data, { n: 2 });
      backend.set(key, { removed: true });
      assert.equal((await update()).removed, true);
    });

    test('one request serves all who track a key', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('versioned');
      const keys = ['a', 'b'].map((name) => `${channel}/${name}`);
      for (const key of keys) backend.set(key, { data: { key }, version: 1 });
      const all = await Promise.all([polled(stage, channel), polled(stage, channel), polled(stage, channel)]);
      for (const { subscription } of all) subscription.track(keys);
      for (const { update } of all) {
        const got = [await update(), await update()];
        assert.deepEqual(got.map((item) => item.data.key).sort(), keys);
      }
      const before = backend.requests.filter((request) => request.channel === channel).length;
      for (const key of keys) backend.set(key, { data: { key }, version: 2 });
      for (const { update } of all) assert.deepEqual([(await update()).version, (await update()).version], [2, 2]);
      const requests = backend.requests.filter((request) => request.channel === channel).slice(before);
      assert.ok(requests.length <= 3, `${requests.length} requests`);
    });

    test('patches add up to the backend\'s values', async (t) => {
      const stage = new Stage(t, server, protocol);
      for (const namespace of ['versioned', 'kept']) {
        const channel = stage.channel(namespace);
        const key = `${channel}/a`;
        backend.set(key, { data: { text: TEXT, n: 1 }, version: 1 });
        const { subscription, update } = await polled(stage, channel, { delta: 'fossil' });
        subscription.track([key]);
        assert.equal((await update()).data.n, 1);
        for (const n of [2, 3, 4]) {
          backend.set(key, { data: { text: TEXT, n }, version: n });
          assert.deepEqual((await update()).data, { text: TEXT, n });
        }
      }
    });

    test('values are published directly', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('versioned');
      const key = `${channel}/a`;
      backend.set(key, { data: 1, version: 1 });
      const { subscription, update } = await polled(stage, channel);
      subscription.track([key]);
      assert.equal((await update()).version, 1);
      await server.api('shared_poll_publish', { channel, key, data: 9, version: 9 });
      assert.deepEqual(await update(), { key, data: 9, removed: false, version: 9 });
    });

    test('a client that was away gets what changed meanwhile', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('versioned');
      const [same, changed] = ['same', 'changed'].map((name) => `${channel}/${name}`);
      for (const key of [same, changed]) backend.set(key, { data: 1, version: 1 });
      const { client, clientEvents, subscription, events, update, asked } = await polled(stage, channel);
      subscription.track([same, changed]);
      await update();
      await update();
      client.disconnect();
      await clientEvents.take('disconnected');
      backend.set(changed, { data: 2, version: 2 });
      client.connect();
      assert.deepEqual(await update(), { key: changed, data: 2, removed: false, version: 2 });
      assert.equal(asked.length, 1);
      assert.equal(events.rest('update').length, 0);
    });

    test('another epoch has clients begin anew', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('versioned');
      const key = `${channel}/a`;
      const lost = async () => assert.equal((await events.take('subscribing')).code, 2500);
      backend.epoch = 'one';
      t.after(() => (backend.epoch = ''));
      backend.set(key, { data: 'old', version: 70 });
      const { subscription, events, update } = await polled(stage, channel);
      subscription.track([key]);
      await lost(); // the first epoch is another one than none
      assert.equal((await update()).data, 'old');
      backend.epoch = 'two';
      backend.set(key, { data: 'new', version: 1 });
      await lost();
      assert.deepEqual(await update(), { key, data: 'new', removed: false, version: 1 });
    });

    test('signatures are renewed, and a wrong one is refused', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('versioned');
      const key = `${channel}/a`;
      backend.set(key, { data: 1, version: 1 });
      const { subscription, events, update, asked } = await polled(stage, channel, { seconds: 2 });
      subscription.track([key]);
      await update();
      while (asked.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
      backend.set(key, { data: 2, version: 2 });
      assert.equal((await update()).version, 2);
      subscription.track([{ key: 'other', version: 0 }], signature('wrong', 'alice', channel, ['other']));
      assert.equal((await events.take('error')).error.code, 103);
    });

    test('a key that is untracked is not asked for any more', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('plain');
      const [stays, goes] = ['stays', 'goes'].map((name) => `${channel}/${name}`);
      for (const key of [stays, goes]) backend.set(key, { data: 1 });
      const { subscription, update } = await polled(stage, channel);
      subscription.track([stays, goes]);
      await update();
      await update();
      subscription.untrack([goes]);
      backend.set(goes, { data: 2 });
      backend.set(stays, { data: 2 });
      assert.equal((await update()).key, stays);
      backend.set(stays, { data: 3 });
      assert.equal((await update()).key, stays);
      const last = backend.requests.filter((request) => request.channel === channel).at(-1);
      assert.deepEqual(last.items, [{ key: stays }]);
    });
  });
}
