// What one test works with; everything made here ends with the test.

import { randomUUID } from 'node:crypto';

import { Cable } from './cable.js';
import { Events } from './events.js';
import { secondsFromNow, sign } from './tokens.js';

const CLIENT_EVENTS = [
  'connecting', 'connected', 'disconnected', 'message', 'error',
  'subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave',
];
const SUBSCRIPTION_EVENTS = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error'];

export class Stage {
  constructor(test, server, protocol) {
    this.test = test;
    this.server = server;
    this.protocol = protocol;
  }

  /** A channel name that only this test uses. */
  channel(namespace) {
    return `${namespace}:${randomUUID()}`;
  }

  token(sub, claims = {}) {
    return sign({ sub, exp: secondsFromNow(600), ...claims }, this.server.secret);
  }

  subscriptionToken(sub, channel, claims = {}) {
    return this.token(sub, { channel, ...claims });
  }

  async cable() {
    const cable = await Cable.lay(this.server.port);
    this.test.after(() => cable.remove());
    return cable;
  }

  /** A client that is not connected yet, with its events: `{ client, events }`. */
  client(options = {}, url = this.server.url(this.protocol.query)) {
    const client = this.protocol.client(url, { token: this.token('alice'), ...options });
    this.test.after(() => client.disconnect());
    return { client, events: new Events(client, ...CLIENT_EVENTS) };
  }

  async connected(options, url) {
    const made = this.client(options, url);
    made.client.connect();
    made.connected = await made.events.take('connected');
    return made;
  }

  /** A subscription that is established: `{ subscription, events, subscribed }`. */
  async subscribed(client, channel, options = {}) {
    const subscription = client.newSubscription(channel, options);
    const events = new Events(subscription, ...SUBSCRIPTION_EVENTS);
    subscription.subscribe();
    const subscribed = await events.take('subscribed');
    return { subscription, events, subscribed };
  }

  /** How a subscription that the server refuses ends: the event `unsubscribed`. */
  async refused(client, channel, options = {}) {
    const subscription = client.newSubscription(channel, options);
    const events = new Events(subscription, 'unsubscribed');
    subscription.subscribe();
    const ended = await events.take('unsubscribed');
    client.removeSubscription(subscription);
    return ended;
  }

  /** A user id that only this test uses. */
  user() {
    return `user-${randomUUID()}`;
  }

  /** The next `count` publications as plain values. */
  async publications(events, count) {
    const taken = await events.takeMany('publication', count);
    return taken.map((publication) => this.protocol.read(publication.data));
  }
}
