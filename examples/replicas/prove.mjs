// Signs in at one replica, waits until the access token has expired, sends 1 000 requests to all three
// replicas at once, and counts the refresh grants at the provider.
import { Browser } from './browser.mjs';

const REQUESTS = 1_000;
const sites = process.env.PORTS.split(' ').map((port) => `http://127.0.0.1:${port}`);

const counts = async () => (await fetch(`${process.env.ISSUER}/test/counts`)).json();
const browser = new Browser();
const me = async (at) => {
  const answer = await fetch(`${sites[at % sites.length]}/api/me`, { headers: { cookie: browser.cookie } });
  return { status: answer.status, body: await answer.json().catch(() => ({})) };
};

const page = await browser.visit(`${sites[0]}/oauth/openid?return_to=/`);
if (page.status !== 200) {
  throw new Error(`signing in failed: ${page.status}\n${page.text}`);
}
console.log(`signed in at ${sites[0]}`);
const { body } = await me(0);
const left = body.access_expires_at * 1_000 - Date.now();
console.log(`the access token expires in ${Math.ceil(left / 1_000)} s`);
await new Promise((resolve) => setTimeout(resolve, left + 1_000));

const before = await counts();
const answers = await Promise.all(Array.from({ length: REQUESTS }, (_, at) => me(at)));
const after = await counts();
const served = answers.filter(({ status }) => status === 200).length;
const grants = after.refreshes - before.refreshes;
const reuses = after.reuses - before.reuses;
console.log(
  `${REQUESTS} requests to ${sites.length} replicas: ${served} served, ${grants} refresh grants, ${reuses} reuses of a spent token`,
);
if (served !== REQUESTS || grants !== 1 || reuses !== 0) {
  console.error('expected: all served, 1 grant, 0 reused');
  process.exit(1);
}
