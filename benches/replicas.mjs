// Requests per second of `web` with its sessions in Redis, near cache on or off, for one replica and for
// three at once. replicas.sh starts the three replicas and runs this.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { Browser } from '../examples/replicas/browser.mjs';

const run = promisify(execFile);
const sites = process.env.PORTS.split(' ').map((port) => `http://127.0.0.1:${port}`);
const browser = new Browser();
await browser.visit(`${sites[0]}/oauth/openid?return_to=/`);

async function scripts() {
  const { stdout } = await run('redis-cli', ['-p', process.env.STORE_PORT, 'info', 'commandstats']);
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stdout)?.[1] ?? 0);
}

async function load(site, connections) {
  const { stdout } = await run('wrk', [
    '-t1', `-c${connections}`, '-d5s', '-H', `cookie: ${browser.cookie}`, `${site}/api/me`,
  ]);
  if (/Non-2xx/.test(stdout)) {
    throw new Error(stdout);
  }
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)[1]);
}

for (const some of [sites.slice(0, 1), sites]) {
  await Promise.all(some.map((site) => load(site, 2)));
  const before = await scripts();
  const rates = await Promise.all(some.map((site) => load(site, 32 / some.length | 0)));
  const sum = rates.reduce((all, rate) => all + rate, 0);
  const each = ((await scripts()) - before) / (sum * 5);
  const near = process.env.OPENID_NEAR_CACHE_AGE === '0' ? 'off' : 'on';
  console.log(
    `near cache ${near.padEnd(3)} ${some.length} replicas ${sum.toFixed(0).padStart(7)} requests/s, ` +
      `${each.toFixed(4)} scripts each`,
  );
}
