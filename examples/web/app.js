// Shows times in local format, and updates the page when the access token was renewed.
const field = (id) => document.getElementById(id);
const api = new URL('api/me', document.currentScript.src);

function show(id, text) {
  const shown = field(id);
  if (shown.textContent === text) return;
  shown.textContent = text;
  shown.classList.remove('changed');
  void shown.offsetWidth;
  shown.classList.add('changed');
}

let expires = Number(field('expires').textContent);
field('signed-in').textContent = new Date(Number(field('signed-in').textContent) * 1000).toLocaleTimeString();
show('renewals', times(Number(field('renewals').textContent)));

function times(count) {
  return count === 1 ? 'once' : `${count} times`;
}

function tick() {
  const left = Math.max(0, Math.round(expires - Date.now() / 1000));
  field('expires').textContent = `in ${left} seconds`;
}

async function poll() {
  const answer = await fetch(api);
  if (answer.status === 401) return location.reload();
  if (!answer.ok) return;
  const me = await answer.json();
  expires = me.access_expires_at;
  show('renewals', times(me.renewals));
}

tick();
setInterval(tick, 1000);
setInterval(() => poll().catch(() => {}), 2000);
