// A TCP cable between a client and the server that can be cut and mended.

import { connect, createServer } from 'node:net';

export class Cable {
  #listener;
  #sockets = new Set();
  #cut = false;

  /** Lays a cable to `port` on the loopback address. */
  static async lay(port) {
    const cable = new Cable();
    cable.#listener = createServer((near) => cable.#plug(near, port));
    await new Promise((resolve) => cable.#listener.listen(0, '127.0.0.1', resolve));
    return cable;
  }

  url(query = '') {
    return `ws://127.0.0.1:${this.#listener.address().port}/connection/websocket${query}`;
  }

  /** Drops what is connected, without a close handshake, and refuses whatever tries. */
  cut() {
    this.#cut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend() {
    this.#cut = false;
  }

  remove() {
    this.cut();
    return new Promise((resolve) => this.#listener.close(resolve));
  }

  #plug(near, port) {
    if (this.#cut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(port, '127.0.0.1');
    for (const [socket, other] of [[near, far], [far, near]]) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
