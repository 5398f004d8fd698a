// Who is on a page: `users:…` has a key for each user, `clients:…` one for each connection. Being in `page:home` is enough
// to be in both; the server writes, renews and removes the keys.

const PAGE = 'page:home';

const state = document.getElementById('state');
const list = document.getElementById('users');
const user = new URLSearchParams(location.search).get('user');

/** Mirrors a map channel: a Map of its entries, and a call after every change. */
function mirror(subscription, onChange) {
  const entries = new Map();
  subscription.on('sync', (context) => {
    entries.clear();
    for (const entry of context.entries) entries.set(entry.key, entry);
    onChange();
  });
  subscription.on('update', (entry) => {
    if (entry.removed) entries.delete(entry.key);
    else entries.set(entry.key, entry);
    onChange();
  });
  subscription.subscribe();
  return entries;
}

function come() {
  const client = new Centrifuge(`${location.protocol.replace('http', 'ws')}//${location.host}/connection/websocket`, {
    // The development mode gives anybody a token for any name. Elsewhere your website gives it to who is logged in.
    getToken: async () => (await (await fetch(`/development/session?user=${encodeURIComponent(user)}`)).json()).token,
  });
  client.on('connecting', () => (state.textContent = 'connecting'));
  client.on('connected', () => (state.textContent = `You are ${user}.`));
  client.on('disconnected', ({ code, reason }) => (state.textContent = `disconnected: ${reason} (${code})`));

  const users = mirror(client.newMapUsersSubscription(`users:${PAGE}`), draw);
  const connections = mirror(client.newMapClientsSubscription(`clients:${PAGE}`), draw);
  client.newSubscription(PAGE).subscribe();
  client.connect();

  function draw() {
    const names = [...users.keys()].sort();
    list.replaceChildren(...names.map((name) => {
      const windows = [...connections.values()].filter(({ info }) => info.user === name).length;
      const item = document.createElement('li');
      item.dataset.user = name;
      item.dataset.windows = windows;
      // A user's key outlives the last connection by up to key_ttl, so that a reload is no event.
      item.textContent = windows === 0 ? `${name}, just left` : windows === 1 ? name : `${name}, in ${windows} windows`;
      return item;
    }));
  }
}

if (user) come();
