// Awaiting what a client or subscription emits.

const LIMIT_MS = 30_000;

/** Keeps every event of the given names from now on, in order, and lets a test take them one by one. */
export class Events {
  #kept = [];
  #waiting = [];

  constructor(emitter, ...names) {
    for (const name of names) emitter.on(name, (context) => this.#arrive({ name, ...context }));
  }

  #arrive(event) {
    this.#kept.push(event);
    for (const retry of [...this.#waiting]) retry();
  }

  /** Removes and returns the first event kept of this name; waits for it if there is none yet. */
  take(name) {
    return this.#when(`an event "${name}"`, () => {
      const index = this.#kept.findIndex((event) => event.name === name);
      return index < 0 ? undefined : this.#kept.splice(index, 1)[0];
    });
  }

  /** The first `count` events of this name. */
  async takeMany(name, count) {
    const events = [];
    while (events.length < count) events.push(await this.take(name));
    return events;
  }

  /** What is kept of this name and was not taken. */
  rest(name) {
    return this.#kept.filter((event) => event.name === name);
  }

  #when(what, attempt) {
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        this.#waiting = this.#waiting.filter((other) => other !== retry);
      };
      const retry = () => {
        const value = attempt();
        if (value === undefined) return false;
        stop();
        resolve(value);
        return true;
      };
      const timer = setTimeout(() => {
        stop();
        const names = this.#kept.map((event) => event.name).join(', ') || 'nothing';
        reject(new Error(`${what} did not come within ${LIMIT_MS} ms; there is ${names}`));
      }, LIMIT_MS);
      if (!retry()) this.#waiting.push(retry);
    });
  }
}
