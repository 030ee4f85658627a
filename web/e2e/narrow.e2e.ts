import { afterAll, afterEach, beforeAll, describe, test } from 'vitest';

import { closePages, received } from './harness/browser';
import { Lab } from './harness/lab';
import { type Pages, plays, showsHeight } from './harness/pages';
import { eventually } from './harness/process';

/** One way, ms. */
const DELAY = 20;
/** kbit/s: about half of what the fake camera's full picture takes. */
const NARROW = 400;
/** kbit/s: sound fits, and of the picture not even the smallest encoding. */
const THIN = 110;
/** Long enough for a busy machine; how long it took is printed. */
const PATIENCE = 60_000;

describe("a viewer's line that falls to 400 kbit/s", () => {
  let lab: Lab;
  let publisher: Pages;
  beforeAll(async () => {
    lab = await Lab.wire();
    publisher = await lab.pagesAtServer();
  });
  afterAll(async () => {
    await lab.close();
  });
  afterEach(closePages(() => publisher.browser));
  afterEach(closePages(() => lab.browser));

  test('brings a smaller picture, and the full one again when it is wide', async () => {
    lab.set({ delay: DELAY, loss: 0 });
    const { number } = await publisher.goLive('Through the keyhole');
    const viewer = await lab.pages.watch(number);
    await plays(viewer);
    await showsHeight(viewer, 720, PATIENCE);
    await plays(viewer, 60);

    const narrow = performance.now();
    lab.set({ delay: DELAY, loss: 0, rate: NARROW });
    await eventually('a smaller picture', async () => (await received(viewer)).frameHeight < 720, PATIENCE);
    const fell = performance.now() - narrow;
    // It goes on on the narrow line: nothing waits for what does not fit.
    await plays(viewer, 60);

    const wide = performance.now();
    lab.set({ delay: DELAY, loss: 0 });
    await showsHeight(viewer, 720, PATIENCE);
    const rose = performance.now() - wide;
    const { freezeCount, totalFreezesDuration } = await received(viewer);
    console.log(
      `smaller after ${Math.round(fell)} ms, full again after ${Math.round(rose)} ms; ` +
        `${freezeCount} freezes, ${Math.round(totalFreezesDuration * 1000)} ms in all`,
    );
  }, 240_000);

  test('to less than the smallest picture brings single ones and says so, until it is wide', async () => {
    lab.set({ delay: DELAY, loss: 0 });
    const { number } = await publisher.goLive('Through a straw');
    const viewer = await lab.pages.watch(number);
    await plays(viewer);
    await plays(viewer, 60);

    lab.set({ delay: DELAY, loss: 0, rate: THIN });
    const note = viewer.getByTestId('slow-line').or(viewer.locator('[data-kind="slow-line"]'));
    await note.first().waitFor({ timeout: PATIENCE });
    const before = (await received(viewer)).framesDecoded;
    await eventually(
      'single pictures',
      async () => (await received(viewer)).framesDecoded >= before + 2,
      PATIENCE,
    );

    const wide = performance.now();
    lab.set({ delay: DELAY, loss: 0 });
    await note.first().waitFor({ state: 'hidden', timeout: PATIENCE });
    await plays(viewer, 60);
    console.log(`a moving picture again ${Math.round(performance.now() - wide)} ms after the line was wide`);
  }, 240_000);
});
