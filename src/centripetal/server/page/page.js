// The development page: an ordinary client of the server that shows what it hears, beside a list of who is connected.

const MESSAGES_KEPT = 200;
const TEXT_SHOWN = 4000;
const CHANNELS_WATCHED = 60;
const OVERVIEW_EVERY_MS = 1000;
const ANSWER_WITHIN_MS = 5000;
const MAP_STATE = 2; // phases of subscribing to a map
const MAP_STREAM = 1;
const MAP_PAGE = 1000;
const LONGEST_PAUSE_MS = 5000;

const element = (id) => document.getElementById(id);

// -- the connection: commands and replies as lines of JSON over a WebSocket

class Connection {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.client = "";
    this.subscriptions = new Map(); // channel -> { offset, epoch } once subscribed, null before
    this.answers = new Map();
    this.lastId = 0;
    this.pause = 250;
    this.open();
  }

  get connected() {
    return this.client !== "";
  }

  async open() {
    this.onEvent({ state: "connecting" });
    try {
      // Anew each time: after a restart the server has another key for tokens.
      this.session = await (await fetch("/development/session")).json();
    } catch (error) {
      this.closed({});
      return;
    }
    this.onEvent({ session: this.session });
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}${this.session.endpoint}`);
    this.socket.onopen = () => this.greet();
    this.socket.onmessage = (event) => {
      for (const line of event.data.split("\n")) if (line) this.receive(JSON.parse(line));
    };
    this.socket.onclose = (event) => this.closed(event);
  }

  async greet() {
    try {
      const reply = await this.ask({ connect: { token: this.session.token, name: "page" } });
      this.client = reply.connect.client;
      this.pause = 250;
      this.onEvent({ state: "connected" });
      for (const channel of new Set([...pinned, ...this.subscriptions.keys()])) this.subscribe(channel);
    } catch (error) {
      this.socket.close();
    }
  }

  closed(event) {
    this.client = "";
    for (const answer of this.answers.values()) answer.reject(new Error("the connection ended"));
    this.answers.clear();
    const final = event.code >= 3500 && event.code < 4000;
    this.onEvent({ state: "disconnected", code: event.code, reason: event.reason, final });
    if (final) return;
    setTimeout(() => this.open(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }

  /** Sends a command and resolves with its reply. */
  ask(command) {
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) {
        reject(new Error("not connected"));
        return;
      }
      const id = ++this.lastId;
      const timer = setTimeout(() => {
        this.answers.delete(id);
        reject(new Error("no answer"));
      }, ANSWER_WITHIN_MS);
      const settle = (then) => (value) => {
        clearTimeout(timer);
        then(value);
      };
      this.answers.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.socket.send(JSON.stringify({ id, ...command }));
    });
  }

  async subscribe(channel) {
    const position = this.subscriptions.get(channel) ?? null;
    this.subscriptions.set(channel, position);
    try {
      const { type } = await (await fetch(`/development/channel?name=${encodeURIComponent(channel)}`)).json();
      if (type === null) throw new Error("this page cannot watch shared polls");
      if (type === 0) await this.enterStream(channel, position);
      else await this.enterMap(channel, type);
    } catch (error) {
      if (this.connected) {
        this.subscriptions.delete(channel);
        this.onEvent({ channel, refused: error.message });
      }
    }
  }

  async enterStream(channel, position) {
    const recover = position ? { recover: true, ...position } : {};
    const { subscribe } = await this.ask({ subscribe: { channel, ...recover } });
    if (subscribe.recoverable) {
      this.subscriptions.set(channel, { offset: subscribe.offset ?? 0, epoch: subscribe.epoch });
    }
    for (const publication of subscribe.publications ?? []) this.published(channel, publication);
  }

  /** Reads a map in pages, of which only the number of keys is shown; then every change comes. */
  async enterMap(channel, type) {
    let keys = 0;
    let from = { phase: MAP_STATE };
    for (;;) {
      const { subscribe } = await this.ask({ subscribe: { channel, type, limit: MAP_PAGE, ...from } });
      const { state = [], publications = [], phase, cursor, epoch, offset = 0 } = subscribe;
      keys += state.length;
      if (!phase) break; // live
      if (cursor) from = { phase: MAP_STATE, cursor, epoch, offset };
      else from = { phase: MAP_STREAM, epoch, offset: publications.at(-1)?.offset ?? offset };
    }
    this.onEvent({ channel, event: `a map with ${keys === 1 ? "1 key" : `${keys} keys`}` });
  }

  async unsubscribe(channel) {
    this.subscriptions.delete(channel);
    if (this.connected) await this.ask({ unsubscribe: { channel } }).catch(() => {});
  }

  receive(message) {
    if (message.push) {
      this.pushed(message.push);
    } else if (message.id) {
      const answer = this.answers.get(message.id);
      this.answers.delete(message.id);
      const { error } = message;
      if (error) answer?.reject(new Error(`${error.message} (${error.code})`));
      else answer?.resolve(message);
    } else {
      this.socket.send("{}"); // a ping
    }
  }

  pushed({ channel = "", pub, join, leave, unsubscribe }) {
    if (pub) this.published(channel, pub);
    else if (join) this.onEvent({ channel, event: `${join.info.user || "somebody"} joined` });
    else if (leave) this.onEvent({ channel, event: `${leave.info.user || "somebody"} left` });
    else if (unsubscribe) {
      this.subscriptions.delete(channel);
      this.onEvent({ channel, refused: `unsubscribed: ${unsubscribe.reason ?? ""} (${unsubscribe.code})` });
    }
  }

  published(channel, publication) {
    const position = this.subscriptions.get(channel);
    if (position && publication.offset) position.offset = publication.offset;
    this.onEvent({ channel, publication });
  }
}

// -- what is shown

let connection;
let received = 0;
const pinned = new Set();
const refused = new Set();

function showState({ state, code, reason, final }) {
  const status = element("status");
  const before = status.dataset.state;
  status.dataset.state = state;
  if (state === "connected") status.textContent = "Connected";
  else if (final) status.textContent = `Disconnected: ${reason} (${code})`;
  else if (before !== "disconnected") status.textContent = state === "connecting" ? "Connecting …" : "Connection lost, trying again …";
  else status.textContent = "Connection lost, trying again …";
}

function showSession({ version, endpoint, example_command, example_token, channel }) {
  element("version").textContent = version;
  element("command").textContent = example_command;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  element("address").textContent = `${scheme}://${location.host}${endpoint}`;
  element("token").textContent = example_token;
  if (!pinned.size) {
    element("publish-channel").value = channel;
    pinned.add(channel);
  }
}

function make(tag, text = "", className = "") {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function shorten(text) {
  return text.length > TEXT_SHOWN ? `${text.slice(0, TEXT_SHOWN)} … (${text.length} characters)` : text;
}

function showMessage(channel, details, text, isEvent = false) {
  const log = element("messages");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const message = make("div", "", isEvent ? "message event" : "message");
  const head = make("p");
  const now = new Date();
  const time = make("time", now.toLocaleTimeString());
  time.dateTime = now.toISOString();
  head.append(make("strong", channel), time, ...details.filter(Boolean).map((detail) => make("span", detail)));
  message.append(head, make("pre", shorten(text)));
  log.append(message);
  while (log.childElementCount > MESSAGES_KEPT) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function showPublication(channel, { data, offset, info, tags, key, removed }) {
  received += 1;
  element("message-count").textContent = received;
  const author = info ? `by ${info.user || "somebody"}` : "by the API";
  const labels = tags ? Object.entries(tags).map(([key, value]) => `${key}=${value}`).join(" ") : "";
  const value = removed ? "removed" : JSON.stringify(data) ?? "no data";
  showMessage(channel, [key && `key ${key}`, removed ? "" : author, offset && `#${offset}`, labels], value);
}

function onEvent(event) {
  if (event.state) showState(event);
  else if (event.session) showSession(event.session);
  else if (event.publication) showPublication(event.channel, event.publication);
  else if (event.event) showMessage(event.channel, [], event.event, true);
  else if (event.refused) {
    refused.add(event.channel);
    pinned.delete(event.channel);
    showMessage(event.channel, [], `not watched: ${event.refused}`, true);
  }
}

// Focus and selection survive a second in which nothing changed.
function replaceIfChanged(parent, children) {
  const holder = document.createElement(parent.tagName);
  holder.append(...children);
  if (holder.innerHTML !== parent.innerHTML) parent.replaceChildren(...holder.childNodes);
}

function connectionRow({ client, user, transport, channels }) {
  const row = make("tr");
  const name = make("td", user || "anonymous");
  if (client === connection.client) name.append(" ", make("span", "(this page)", "muted"));
  name.append(make("br"), make("code", client.slice(0, 8), "muted"));
  row.append(name, make("td", transport), make("td", channels.join(", ") || "none"));
  return row;
}

function channelItem({ name, subscribers }) {
  const item = make("li");
  const watched = connection.subscriptions.has(name);
  const others = subscribers - (watched ? 1 : 0);
  item.append(make("span", name), make("span", others === 1 ? "1 subscriber" : `${others} subscribers`, "muted"));
  const button = make("button", watched ? "Stop watching" : "Watch");
  button.type = "button";
  button.dataset.channel = name;
  button.dataset.watched = watched;
  button.setAttribute("aria-label", `${button.textContent} ${name}`);
  item.append(button);
  return item;
}

function showOverview(overview) {
  element("connection-count").textContent = overview.num_clients;
  element("channel-count").textContent = overview.num_channels;
  const rows = overview.connections.map(connectionRow);
  if (overview.num_clients > rows.length) {
    const more = make("td", `and ${overview.num_clients - rows.length} more`, "empty");
    more.colSpan = 3;
    const row = make("tr");
    row.append(more);
    rows.push(row);
  }
  if (rows.length <= 1) rows.push(element("empty-connections").content.cloneNode(true));
  replaceIfChanged(element("connections"), rows);
  replaceIfChanged(element("channels"), overview.channels.map(channelItem));
}

// -- which channels are watched: those asked for, and those in which somebody is

function watch(channel) {
  refused.delete(channel);
  pinned.add(channel);
  if (!connection.subscriptions.has(channel)) connection.subscribe(channel);
}

function follow(channels) {
  for (const { name, subscribers, quiet } of channels) {
    const watched = connection.subscriptions.has(name);
    if (watched && subscribers <= 1 && !pinned.has(name)) connection.unsubscribe(name);
    const open = quiet && !name.startsWith("$") && !name.includes("#") && !refused.has(name);
    if (!watched && open && connection.subscriptions.size < CHANNELS_WATCHED) connection.subscribe(name);
  }
}

async function look() {
  if (connection.connected && !document.hidden) {
    try {
      const overview = await (await fetch("/development/overview")).json();
      showOverview(overview);
      follow(overview.channels);
    } catch (error) {
      // The server is away; the state of the connection says so.
    }
  }
  setTimeout(look, OVERVIEW_EVERY_MS);
}

// -- what one can do

function answer(text, state) {
  const result = element("publish-result");
  result.textContent = text;
  result.dataset.state = state;
}

element("publish").addEventListener("submit", async (event) => {
  event.preventDefault();
  const channel = element("publish-channel").value.trim();
  let data;
  try {
    data = JSON.parse(element("publish-data").value);
  } catch (error) {
    answer(`Not JSON: ${error.message}`, "bad");
    return;
  }
  try {
    await connection.ask({ publish: { channel, data } });
    answer(`Published to ${channel}.`, "good");
  } catch (error) {
    answer(`Not published: ${error.message}`, "bad");
  }
});

element("watch").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = element("watch-channel");
  watch(input.value.trim());
  input.value = "";
});

element("channels").addEventListener("click", ({ target }) => {
  const { channel, watched } = target.dataset;
  if (channel === undefined) return;
  if (watched === "true") {
    pinned.delete(channel);
    refused.add(channel);
    connection.unsubscribe(channel);
  } else {
    watch(channel);
  }
});

element("clear").addEventListener("click", () => element("messages").replaceChildren());

document.addEventListener("click", async ({ target }) => {
  if (!target.dataset.copy) return;
  await navigator.clipboard.writeText(element(target.dataset.copy).textContent);
  target.textContent = "Copied";
  setTimeout(() => (target.textContent = "Copy"), 1500);
});

connection = new Connection(onEvent);
look();
