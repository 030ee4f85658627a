import { afterAll, afterEach, beforeAll, describe, test } from 'vitest';

import { calmCamera, closePages, received } from './harness/browser';
import { Lab } from './harness/lab';
import { type Pages, plays, showsHeight } from './harness/pages';
import { eventually } from './harness/process';

/** One way, ms. */
const DELAY = 20;
/** kbit/s: the smallest encoding and sound fit, the next one does not. */
const NARROW = 400;

describe("a viewer's line of 400 kbit/s", () => {
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
    const { number } = await publisher.goLive('Through the keyhole', calmCamera);
    const viewer = await lab.pages.watch(number);
    await plays(viewer);
    await showsHeight(viewer, 720, 60_000);

    const narrow = performance.now();
    lab.set({ delay: DELAY, loss: 0, rate: NARROW });
    const small = async () => {
      const { frameHeight, framesDecoded } = await received(viewer);
      return frameHeight < 720 && framesDecoded;
    };
    await eventually('a smaller picture', small, 60_000);
    const fell = performance.now() - narrow;
    // It goes on on the narrow line: nothing waits for what does not fit.
    await plays(viewer, 60);

    const wide = performance.now();
    lab.set({ delay: DELAY, loss: 0 });
    await showsHeight(viewer, 720, 60_000);
    const rose = performance.now() - wide;
    const { freezeCount, totalFreezesDuration } = await received(viewer);
    console.log(
      `smaller after ${Math.round(fell)} ms, full again after ${Math.round(rose)} ms; ` +
        `${freezeCount} freezes, ${Math.round(totalFreezesDuration * 1000)} ms in all`,
    );
  }, 240_000);
});
