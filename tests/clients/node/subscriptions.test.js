// Tokens, server-side subscriptions, and how subscriptions and connections end.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { protocols } from './support/protocols.js';
import { startServer } from './support/server.js';
import { Stage } from './support/stage.js';
import { secondsFromNow, sign } from './support/tokens.js';

let server;
before(async () => (server = await startServer()));
after(() => server.stop());

/** A token source whose first token expires soon, and a promise for the moment when a second one was asked for. */
function expiringTokens(make) {
  let resolve;
  const renewed = new Promise((done) => (resolve = done));
  let asked = 0;
  const getToken = async () => {
    asked += 1;
    if (asked === 2) resolve();
    return make({ exp: secondsFromNow(asked === 1 ? 2 : 600) });
  };
  return { getToken, renewed };
}

for (const protocol of protocols) {
  describe(`over ${protocol.name}`, () => {
    test('a connection token is renewed without a reconnect', async (t) => {
      const stage = new Stage(t, server, protocol);
      const { getToken, renewed } = expiringTokens((claims) => stage.token('alice', claims));
      const { client, events } = await stage.connected({ token: '', getToken });
      await renewed;
      await stage.subscribed(client, stage.channel('chat'));
      assert.equal(events.rest('disconnected').length, 0);
      assert.equal(events.rest('connecting').length, 1);
      assert.equal(events.rest('error').length, 0);
    });

    test('a client with an expired token asks for another one', async (t) => {
      const stage = new Stage(t, server, protocol);
      const token = stage.token('alice', { exp: secondsFromNow(-10) });
      const getToken = async () => stage.token('alice');
      const { client, events } = stage.client({ token, getToken });
      client.connect();
      const error = await events.take('error');
      assert.equal(error.error.code, 109);
      await events.take('connected');
    });

    test('a token signed with another key ends the connection with 3500', async (t) => {
      const stage = new Stage(t, server, protocol);
      const { client, events } = stage.client({ token: sign({ sub: 'alice' }, 'another secret') });
      client.connect();
      assert.equal((await events.take('disconnected')).code, 3500);
    });

    test('a subscription token opens a channel, and is renewed', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('private');
      const { client } = await stage.connected();
      const { getToken, renewed } = expiringTokens((claims) =>
        stage.subscriptionToken('alice', channel, { info: { role: 'guest' }, ...claims }));
      const { subscription, events } = await stage.subscribed(client, channel, { getToken });
      await renewed;
      const { clients } = await subscription.presence();
      const [info] = Object.values(clients);
      assert.deepEqual(protocol.read(info.chanInfo), { role: 'guest' });
      assert.equal(events.rest('unsubscribed').length, 0);
      assert.equal(events.rest('error').length, 0);
    });

    test('a subscription token with a wrong signature opens nothing', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('private');
      const { client } = await stage.connected();
      const token = sign({ sub: 'alice', channel }, 'another secret');
      assert.equal((await stage.refused(client, channel, { token })).code, 103);
    });

    test('a subscription token of somebody else, or for another channel, ends the connection', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('private');
      const wrong = [stage.subscriptionToken('bob', channel), stage.subscriptionToken('alice', stage.channel('private'))];
      for (const token of wrong) {
        const { client, events } = await stage.connected();
        client.newSubscription(channel, { token }).subscribe();
        assert.equal((await events.take('disconnected')).code, 3500);
      }
    });

    test('channels in the token are subscribed at connect and recover', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('chat');
      const cable = await stage.cable();
      const options = { token: stage.token('alice', { channels: [channel] }) };
      const { events } = await stage.connected(options, cable.url(protocol.query));
      const subscribed = await events.take('subscribed');
      assert.equal(subscribed.channel, channel);
      assert.equal(subscribed.recoverable, true);
      await server.publish(channel, { n: 1 });
      assert.deepEqual(await stage.publications(events, 1), [{ n: 1 }]);
      cable.cut();
      for (let n = 2; n <= 4; n++) await server.publish(channel, { n });
      cable.mend();
      const again = await events.take('subscribed');
      assert.equal(again.recovered, true);
      assert.deepEqual(await stage.publications(events, 3), [{ n: 2 }, { n: 3 }, { n: 4 }]);
    });

    test('the backend subscribes and unsubscribes a user', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('chat');
      const user = stage.user();
      const { events } = await stage.connected({ token: stage.token(user) });
      await server.api('subscribe', { user, channel });
      assert.equal((await events.take('subscribed')).channel, channel);
      await server.publish(channel, { n: 1 });
      assert.equal((await events.take('publication')).channel, channel);
      await server.api('unsubscribe', { user, channel });
      assert.equal((await events.take('unsubscribed')).channel, channel);
    });

    test('the backend ends a subscription: 2000 is final', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('chat');
      const user = stage.user();
      const { client } = await stage.connected({ token: stage.token(user) });
      const { subscription, events } = await stage.subscribed(client, channel);
      await server.api('unsubscribe', { user, channel });
      assert.equal((await events.take('unsubscribed')).code, 2000);
      assert.equal(subscription.state, 'unsubscribed');
    });

    test('the backend disconnects a user: a code from 3500 is final, another one makes it return', async (t) => {
      const stage = new Stage(t, server, protocol);
      const user = stage.user();
      const { events } = await stage.connected({ token: stage.token(user) });
      await events.take('connecting');
      await server.api('disconnect', { user, disconnect: { code: 4000, reason: 'come back' } });
      const connecting = await events.take('connecting');
      assert.deepEqual([connecting.code, connecting.reason], [4000, 'come back']);
      await events.take('connected');
      await server.api('disconnect', { user });
      const disconnected = await events.take('disconnected');
      assert.deepEqual([disconnected.code, disconnected.reason], [3503, 'force disconnect']);
    });

    test('a client that unsubscribes hears nothing more', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('chat');
      const { client } = await stage.connected();
      const { subscription, events } = await stage.subscribed(client, channel);
      subscription.unsubscribe();
      assert.equal((await events.take('unsubscribed')).code, 0);
      const { events: others } = await stage.subscribed((await stage.connected()).client, channel);
      await server.publish(channel, { n: 1 });
      await others.take('publication');
      assert.equal(events.rest('publication').length, 0);
    });

    test('a user-limited channel is for its users only', async (t) => {
      const stage = new Stage(t, server, protocol);
      const { client } = await stage.connected();
      await stage.subscribed(client, 'user:room#alice,bob');
      assert.equal((await stage.refused(client, 'user:room#bob')).code, 103);
    });
  });
}
