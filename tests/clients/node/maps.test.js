// Map subscriptions: state in pages, updates, recovery over a cut connection, keys of clients, presence as maps.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Events } from './support/events.js';
import { protocols } from './support/protocols.js';
import { startServer } from './support/server.js';
import { Stage } from './support/stage.js';

const OPEN = { subscription_type: 'map', allow_subscribe_for_client: true };
const WRITABLE = { allow_publish_for_client: true, allow_remove_for_client: true };
const OVERLAY = {
  channel: {
    namespaces: [
      { name: 'board', ...OPEN, allow_tags_filter: true, allowed_delta_types: ['fossil'],
        map: { mode: 'persistent', min_page_size: 2, ...WRITABLE } },
      { name: 'cursor', ...OPEN,
        map: { mode: 'ephemeral', key_ttl: '60s', client_key: 'client_id', remove_client_on_unsubscribe: true, ...WRITABLE } },
      { name: 'game', allow_subscribe_for_client: true, map_clients_presence_channel_prefix: 'players:' },
      { name: 'players', ...OPEN, subscription_type: 'map_clients', map: { mode: 'recoverable', key_ttl: '60s' } },
    ],
  },
};

let server;
before(async () => (server = await startServer(OVERLAY)));
after(() => server.stop());

const put = (channel, key, data, more = {}) => server.api('map_publish', { channel, key, data, ...more });
const remove = (channel, key) => server.api('map_remove', { channel, key });

/** A map subscription that is live, a view of its keys, and its events: `{ subscription, events, view }`. */
async function watched(protocol, client, channel, options = {}, kind = 'newMapSubscription') {
  const subscription = client[kind](channel, options);
  const events = new Events(subscription, 'sync', 'update', 'subscribed', 'unsubscribed', 'error');
  const view = new Map();
  const read = (entry) => (entry.data === undefined || entry.data === null || entry.data.length === 0 ? null : protocol.read(entry.data));
  subscription.on('sync', ({ entries }) => {
    view.clear();
    for (const entry of entries) view.set(entry.key, read(entry));
  });
  subscription.on('update', (entry) => (entry.removed ? view.delete(entry.key) : view.set(entry.key, read(entry))));
  subscription.subscribe();
  await events.take('sync');
  return { subscription, events, view };
}

for (const protocol of protocols) {
  describe(`over ${protocol.name}`, () => {
    test('the state comes in pages, then updates and removals', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('board');
      for (const key of 'edcba') await put(channel, key, { of: key });
      const { client } = await stage.connected();
      const { events, view } = await watched(protocol, client, channel, { pageSize: 2 });
      assert.deepEqual([...view.keys()].sort(), [...'abcde']);
      await put(channel, 'a', { of: 'A' });
      await remove(channel, 'b');
      await events.takeMany('update', 2);
      assert.deepEqual(view.get('a'), { of: 'A' });
      assert.equal(view.has('b'), false);
    });

    test('what changed during a cut is recovered', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('board');
      await put(channel, 'stays', 1);
      await put(channel, 'goes', 1);
      const cable = await stage.cable();
      const { client, events: connection } = await stage.connected({}, cable.url(protocol.query));
      const { events, view } = await watched(protocol, client, channel);
      await events.take('subscribed');
      cable.cut();
      await put(channel, 'new', 2);
      await remove(channel, 'goes');
      cable.mend();
      const again = await events.take('subscribed');
      assert.equal(again.recovered, true);
      await events.takeMany('update', 2);
      assert.deepEqual([...view.entries()].sort(), [['new', 2], ['stays', 1]]);
      assert.equal(connection.rest('disconnected').length, 0);
    });

    test('a cleared map is read anew', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('board');
      await put(channel, 'old', 1);
      const { client } = await stage.connected();
      const { events, view } = await watched(protocol, client, channel);
      await server.api('map_clear', { channel });
      await events.take('sync');
      assert.equal(view.size, 0);
      await put(channel, 'new', 2);
      await events.take('update');
      assert.deepEqual([...view.entries()], [['new', 2]]);
    });

    test('updates of a key come as patches of its value', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('board');
      const text = 'a text long enough for a patch to be smaller than the whole of it';
      for (const key of 'ab') await put(channel, key, { text, n: 0 });
      const { client } = await stage.connected();
      const { events, view } = await watched(protocol, client, channel, { delta: 'fossil' });
      for (let n = 1; n <= 3; n += 1) for (const key of 'ab') await put(channel, key, { text, n }, { delta: true });
      await events.takeMany('update', 6);
      assert.deepEqual([...view.entries()].sort(), [['a', { text, n: 3 }], ['b', { text, n: 3 }]]);
    });

    test('a filter holds for state, updates and removals', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('board');
      await put(channel, 'a', 1, { tags: { side: 'left' } });
      await put(channel, 'b', 1, { tags: { side: 'right' } });
      const { client } = await stage.connected();
      const { events, view } = await watched(protocol, client, channel, {
        tagsFilter: { key: 'side', cmp: 'eq', val: 'left' },
      });
      assert.deepEqual([...view.keys()], ['a']);
      await put(channel, 'c', 1, { tags: { side: 'right' } });
      await remove(channel, 'b');
      await remove(channel, 'a');
      const update = await events.take('update');
      assert.deepEqual([update.key, update.removed], ['a', true]);
    });

    test('a key of a client goes with it', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('cursor');
      const alice = await stage.connected();
      const bob = await stage.connected({ token: stage.token('bob') });
      const mine = await watched(protocol, alice.client, channel);
      const his = await watched(protocol, bob.client, channel);
      await mine.subscription.publish('any', protocol.write({ x: 1 }));
      const update = await his.events.take('update');
      assert.deepEqual([update.key, protocol.read(update.data)], [alice.connected.client, { x: 1 }]);
      alice.client.disconnect();
      const gone = await his.events.take('update');
      assert.deepEqual([gone.key, gone.removed], [alice.connected.client, true]);
    });

    test('presence is a map', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('game');
      const watcher = await stage.connected();
      const { events, view } = await watched(
        protocol, watcher.client, `players:${channel}`, {}, 'newMapClientsSubscription',
      );
      const player = await stage.connected({ token: stage.token('bob') });
      const { subscription } = await stage.subscribed(player.client, channel);
      const came = await events.take('update');
      assert.deepEqual([came.key, came.info.user], [player.connected.client, 'bob']);
      subscription.unsubscribe();
      assert.equal((await events.take('update')).removed, true);
      assert.equal(view.size, 0);
    });
  });
}
