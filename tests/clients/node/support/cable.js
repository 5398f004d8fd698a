// A TCP cable between a client and the server that can be cut and mended, and that may let no WebSocket through.

import { connect, createServer } from 'node:net';

export class Cable {
  #listener;
  #sockets = new Set();
  #cut = false;
  #upgrades;

  /**
   * Lays a cable to `port` on the loopback address.
   *
   * @param {string} upgrades what becomes of WebSocket handshakes: `pass`, `refuse` (403) or `ignore` (no answer)
   */
  static async lay(port, upgrades = 'pass') {
    const cable = new Cable();
    cable.#upgrades = upgrades;
    cable.#listener = createServer((near) => cable.#plug(near, port));
    await new Promise((resolve) => cable.#listener.listen(0, '127.0.0.1', resolve));
    return cable;
  }

  get port() {
    return this.#listener.address().port;
  }

  url(query = '') {
    return `ws://127.0.0.1:${this.port}/connection/websocket${query}`;
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
    if (this.#upgrades === 'pass') {
      this.#join(near, port);
      return;
    }
    this.#sockets.add(near);
    near.on('error', () => {});
    near.on('close', () => this.#sockets.delete(near));
    near.once('data', (head) => {
      if (!/^upgrade: *websocket/im.test(head)) {
        this.#join(near, port).write(head);
      } else if (this.#upgrades === 'refuse') {
        near.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      }
    });
  }

  #join(near, port) {
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
    return far;
  }
}
