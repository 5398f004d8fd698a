// What a client asks for: publish, history, presence, unknown calls; and what is refused.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { protocols } from './support/protocols.js';
import { startServer } from './support/server.js';
import { Stage } from './support/stage.js';

let server;
before(async () => (server = await startServer()));
after(() => server.stop());

for (const protocol of protocols) {
  describe(`over ${protocol.name}`, () => {
    test('a publication of a client reaches all subscribers with its author', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('chat');
      const alice = await stage.connected({ token: stage.token('alice', { info: { name: 'Alice' } }) });
      const bob = await stage.connected({ token: stage.token('bob') });
      const atAlice = await stage.subscribed(alice.client, channel);
      const atBob = await stage.subscribed(bob.client, channel);
      await atAlice.subscription.publish(protocol.write({ text: 'hello' }));
      for (const { events } of [atAlice, atBob]) {
        const publication = await events.take('publication');
        assert.deepEqual(protocol.read(publication.data), { text: 'hello' });
        assert.equal(publication.info.user, 'alice');
        assert.equal(publication.info.client, alice.connected.client);
        assert.deepEqual(protocol.read(publication.info.connInfo), { name: 'Alice' });
        assert.equal(publication.offset, 1);
      }
    });

    test('history comes in pages, forward and in reverse', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('chat');
      const { client } = await stage.connected();
      const { subscription } = await stage.subscribed(client, channel);
      for (let n = 1; n <= 5; n++) await server.publish(channel, { n });
      const numbers = (result) => result.publications.map((publication) => protocol.read(publication.data).n);

      const top = await subscription.history({ limit: 0 });
      assert.equal(top.offset, 5);
      assert.equal(top.publications.length, 0);
      assert.deepEqual(numbers(await subscription.history({ limit: 2 })), [1, 2]);
      assert.deepEqual(numbers(await subscription.history({ limit: 2, reverse: true })), [5, 4]);
      const since = { offset: 3, epoch: top.epoch };
      assert.deepEqual(numbers(await subscription.history({ limit: 10, since })), [4, 5]);
      assert.deepEqual(numbers(await subscription.history({ limit: 10, since, reverse: true })), [2, 1]);
    });

    test('presence lists who is there, and joins and leaves are told', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('chat');
      const alice = await stage.connected({ token: stage.token('alice') });
      const { subscription, events } = await stage.subscribed(alice.client, channel);
      const own = await events.take('join');
      assert.equal(own.info.user, 'alice');
      const bob = await stage.connected({ token: stage.token('bob') });
      await stage.subscribed(bob.client, channel);

      assert.equal((await events.take('join')).info.user, 'bob');
      const { clients } = await subscription.presence();
      assert.deepEqual(Object.keys(clients).sort(), [alice.connected.client, bob.connected.client].sort());
      assert.equal(clients[bob.connected.client].user, 'bob');
      assert.deepEqual(await subscription.presenceStats(), { numClients: 2, numUsers: 2 });

      bob.client.disconnect();
      assert.equal((await events.take('leave')).info.user, 'bob');
      assert.deepEqual(await subscription.presenceStats(), { numClients: 1, numUsers: 1 });
    });

    test('what a namespace does not allow is refused with the documented code', async (t) => {
      const stage = new Stage(t, server, protocol);
      const { client } = await stage.connected();
      const { subscription: kept } = await stage.subscribed(client, stage.channel('short'));
      await assert.rejects(kept.history({ limit: 1 }), { code: 103 });
      const { subscription: live } = await stage.subscribed(client, stage.channel('live'));
      await assert.rejects(live.history({ limit: 1 }), { code: 108 });
      await assert.rejects(live.presence(), { code: 108 });
      await assert.rejects(client.publish(stage.channel('short'), protocol.write({})), { code: 103 });
      await assert.rejects(client.publish(stage.channel('unknown'), protocol.write({})), { code: 102 });
      await assert.rejects(client.rpc('nothing', protocol.write({})), { code: 108 });
    });

    test('a refused subscription ends with the code of the error', async (t) => {
      const stage = new Stage(t, server, protocol);
      const { client } = await stage.connected();
      for (const [channel, code] of [[stage.channel('private'), 103], [stage.channel('unknown'), 102]]) {
        assert.equal((await stage.refused(client, channel)).code, code);
      }
    });

    test('commands sent in one batch are all answered', async (t) => {
      const stage = new Stage(t, server, protocol);
      const { client } = await stage.connected();
      const channels = Array.from({ length: 20 }, () => stage.channel('chat'));
      client.startBatching();
      const subscriptions = channels.map((channel) => {
        const subscription = client.newSubscription(channel);
        subscription.subscribe();
        return subscription;
      });
      const published = channels.map((channel) => client.publish(channel, protocol.write({ channel })));
      client.stopBatching();
      await Promise.all(subscriptions.map((subscription) => subscription.ready(5000)));
      await Promise.all(published);
      const results = await Promise.all(subscriptions.map((subscription) => subscription.history({ limit: 1 })));
      assert.deepEqual(results.map((result) => protocol.read(result.publications[0].data).channel), channels);
    });

    test('a large payload arrives whole', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('live');
      const { client } = await stage.connected();
      const { subscription, events } = await stage.subscribed(client, channel);
      const text = 'ü€😀 '.repeat(3000);
      await subscription.publish(protocol.write({ text }));
      assert.deepEqual(await stage.publications(events, 1), [{ text }]);
    });
  });
}
