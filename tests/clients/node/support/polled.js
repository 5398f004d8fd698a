// A backend that is polled, and the signatures that let clients track its keys.

import { createHash, createHmac } from 'node:crypto';
import { createServer } from 'node:http';

/** Values by key, as the server's requests find them. Make one with startPolled(). */
class Polled {
  #listener;

  constructor(listener) {
    this.#listener = listener;
    this.items = new Map();
    this.epoch = '';
    this.requests = [];
  }

  get endpoint() {
    return `http://127.0.0.1:${this.#listener.address().port}/refresh`;
  }

  /** Sets what is known of a key: `{ data, version }`, `{ removed: true }`. */
  set(key, item) {
    const before = this.items.get(key);
    this.items.set(key, before?.data === undefined ? item : { prev_data: before.data, ...item });
  }

  answer({ channel, items }) {
    this.requests.push({ channel, items });
    const known = items.filter(({ key }) => this.items.has(key));
    const result = { items: known.map(({ key }) => ({ key, ...this.items.get(key) })) };
    return { result: this.epoch ? { ...result, epoch: this.epoch } : result };
  }

  stop() {
    return new Promise((resolve) => {
      this.#listener.close(resolve);
      this.#listener.closeAllConnections();
    });
  }
}

export async function startPolled() {
  const listener = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', () => response.end(JSON.stringify(polled.answer(JSON.parse(body)))));
  });
  const polled = new Polled(listener);
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return polled;
}

/** A signature that lets `user` track these keys, in this order, for `seconds`; 0 for ever. */
export function signature(secret, user, channel, keys, seconds = 0) {
  const now = Math.floor(Date.now() / 1000);
  const expires = seconds ? now + seconds : 0;
  const digest = createHash('sha256').update(keys.join('\0')).digest('hex');
  const signed = [now, expires, user, channel, digest].join('\0');
  return `${now}:${expires}:${createHmac('sha256', secret).update(signed).digest('hex')}`;
}
