// Visits the `two_providers` example as a person would. The one argument is a JSON object: `url`, and `folder` for
// screenshots.
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { launch } from './chromium.mjs';

const { url, folder } = JSON.parse(process.argv[2]);
const { context, close } = await launch();

try {
  const page = await context.newPage();
  const heading = () => page.locator('h1').innerText();
  const cookies = async () => (await context.cookies(url)).map(({ name }) => name);
  const ask = async () => (await context.request.get(`${url}/api/me`)).status();
  // As people see it: on a desk, on a phone, and in the dark.
  const shot = async (title) => {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      for (const [device, width, height] of [['desk', 900, 700], ['phone', 360, 640]]) {
        await page.setViewportSize({ width, height });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
        assert.ok(!wide, `${title} fits a ${device}`);
        await page.screenshot({ path: join(folder, `${title}-${device}-${colorScheme}.png`) });
      }
    }
  };

  // A visitor without a session chooses first, and then gets the page that was asked for.
  await page.goto(`${url}/api/me`);
  assert.equal(page.url(), `${url}/login?return_to=%2Fapi%2Fme`);
  assert.equal(await heading(), 'Welcome');
  await shot('login');
  await page.getByText('Continue as staff').click();
  await page.getByText('I am user-1').click();
  await page.waitForURL(`${url}/api/me`);
  await page.goto(url);
  assert.equal(await heading(), 'Hello, user-1');
  assert.equal(await page.locator('#who').innerText(), 'a member of the staff');
  await shot('signed-in');
  assert.ok((await cookies()).includes('staff') && !(await cookies()).includes('guests'));
  // Each layer tells scripts of its own sessions.
  const told = await (await context.request.get(`${url}/oauth/staff/session`)).json();
  assert.equal(told.claims.sub, 'user-1');
  assert.equal((await context.request.get(`${url}/oauth/guests/session`)).status(), 401);

  await page.getByText('Sign out').click();
  await page.waitForURL(`${url}/login?return_to=%2F`);
  assert.equal(await ask(), 401);

  // The other way, and out by the same button.
  await page.getByText('Continue as a guest').click();
  await page.getByText('I am user-2').click();
  await page.waitForURL(`${url}/`);
  assert.equal(await page.locator('#who').innerText(), 'a guest');
  assert.ok((await cookies()).includes('guests') && !(await cookies()).includes('staff'));
  await page.getByText('Sign out').click();
  await page.waitForURL(`${url}/login?return_to=%2F`);
  assert.equal(await ask(), 401);

  // A sign-in that fails leads back to the choice.
  await page.goto(`${url}/oauth/guests/callback?state=lost&code=x`);
  await shot('failed');
  await page.getByText('Sign in', { exact: true }).click();
  await page.waitForURL(`${url}/login?return_to=%2F`);
  console.log('ok');
} finally {
  await close();
}
