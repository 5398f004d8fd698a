// Each game is a key of the channel `scores:live`. Opening a game tracks its key, closing it ends that.

const CHANNEL = 'scores:live';

const state = document.getElementById('state');
const list = document.getElementById('games');
const scores = new Map();

function follow({ games, server }) {
  const client = new Centrifuge(server);
  client.on('connecting', () => (state.textContent = 'connecting'));
  client.on('connected', () => (state.textContent = ''));
  client.on('disconnected', ({ code, reason }) => (state.textContent = `disconnected: ${reason} (${code})`));

  const subscription = client.newSharedPollSubscription(CHANNEL, {
    delta: 'fossil',
    // The website says which keys this user may track, and signs them.
    getSignature: async ({ keys }) =>
      (await fetch('/sign', { method: 'POST', body: JSON.stringify({ channel: CHANNEL, keys }) })).json(),
  });
  subscription.on('update', ({ key, data, removed }) => show(key, removed ? null : data));
  subscription.subscribe();
  client.connect();

  for (const key of games) {
    const game = document.createElement('details');
    const title = document.createElement('summary');
    title.textContent = key;
    const score = document.createElement('p');
    score.textContent = '…';
    game.append(title, score);
    game.addEventListener('toggle', () => (game.open ? subscription.track([key]) : subscription.untrack([key])));
    scores.set(key, { game, title, score });
    list.append(game);
  }
  list.firstChild.open = true;
}

function show(key, data) {
  const { game, title, score } = scores.get(key);
  if (data === null) {
    game.remove();
    return;
  }
  title.textContent = `${data.home} – ${data.away}`;
  const text = data.score.join(' : ');
  if (score.dataset.score !== undefined && score.dataset.score !== text) {
    score.classList.remove('goal');
    void score.offsetWidth; // starts the animation anew
    score.classList.add('goal');
  }
  score.dataset.score = text;
  score.textContent = `${text}, minute ${data.minute}`;
}

fetch('/games').then((response) => response.json()).then(follow);
