import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { launchChromium } from './harness/browser';
import { differingPixels } from './harness/board-pixels';
import { script } from './harness/sdk';

// Tools of the whiteboard with a real pointer and real keys, two boards on one page, without a server: what one does, the
// other one has.

interface Shown {
  type: string;
  t: number[];
  text: string;
  locked: boolean;
  color: string;
  points: number;
}

interface BoardWindow {
  boardPage: typeof import('./fixtures/board');
  opened: import('./fixtures/board').BoardPage;
}

const [WIDTH, HEIGHT] = [600, 440];
let chromium: Browser;
const errors: string[] = [];

beforeAll(async () => {
  chromium = await launchChromium();
});
afterAll(async () => {
  await chromium.close();
  expect(errors).toEqual([]);
});

async function boards(names: string[], touch = false): Promise<Page> {
  const context = await chromium.newContext({
    viewport: { width: WIDTH * names.length, height: HEIGHT },
    hasTouch: touch,
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const page = await context.newPage();
  page.on('pageerror', (error) => errors.push(error.message));
  await page.route('http://localhost/board', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><body></body>' }),
  );
  await page.goto('http://localhost/board');
  await page.evaluate(await script('e2e/fixtures/board.ts', 'boardPage'));
  await page.evaluate(
    ({ names: all, width, height }) => {
      const inside = window as unknown as BoardWindow;
      inside.opened = inside.boardPage.open(all, width, height, 'light');
    },
    { names, width: WIDTH, height: HEIGHT },
  );
  return page;
}

/** The objects of the page that a board shows, from the lowest to the topmost. */
function shown(page: Page, of = 0): Promise<Shown[]> {
  return page.evaluate((index) => {
    const surface = (window as unknown as BoardWindow).opened.surfaces[index];
    const desk = surface?.desk.get();
    if (desk === undefined) throw new Error('no such board');
    return desk.editor.scene.page(desk.page.get()).map(({ type, t, text, locked, color, points }) => ({
      type,
      t: [...t],
      text,
      locked,
      color,
      points: (points?.length ?? 0) / 2,
    }));
  }, of);
}

async function act(page: Page, action: string): Promise<void> {
  await page.evaluate((what) => {
    const [surface] = (window as unknown as BoardWindow).opened.surfaces;
    surface?.act(what as Parameters<typeof surface.act>[0]);
    surface?.focus();
  }, action);
}

async function drag(page: Page, from: [number, number], to: [number, number], steps = 6): Promise<void> {
  await page.mouse.move(...from);
  await page.mouse.down();
  await page.mouse.move(...to, { steps });
  await page.mouse.up();
}

test('draws with each tool, and both boards show the same picture', async () => {
  const page = await boards(['Anna', 'Ben']);
  for (const [tool, row] of [
    ['pen', 0],
    ['marker', 1],
    ['line', 2],
    ['arrow', 3],
    ['rectangle', 4],
    ['ellipse', 5],
  ] as const) {
    await act(page, `tool ${tool}`);
    await drag(page, [40 + 80 * row, 40], [100 + 80 * row, 120]);
  }
  await act(page, 'tool text');
  await page.mouse.click(60, 200);
  await page.keyboard.type('Hello 안녕');
  await page.keyboard.press('Escape');
  await act(page, 'tool note');
  await page.mouse.click(350, 260);
  await page.keyboard.type('A note');
  await page.keyboard.press('Escape');
  await act(page, 'deselect');
  const [one, other] = [await shown(page, 0), await shown(page, 1)];
  expect(one.map(({ type }) => type)).toEqual([
    'pen',
    'marker',
    'line',
    'arrow',
    'rectangle',
    'ellipse',
    'text',
    'note',
  ]);
  expect(one.at(-2)?.text).toBe('Hello 안녕');
  expect(one.at(-1)?.text).toBe('A note');
  expect(other).toEqual(one);
  await page.mouse.move(5, 430);
  await page.waitForTimeout(300);
  const picture = await page.screenshot();
  if (process.env.E2E_PICTURES !== undefined)
    await page.screenshot({ path: `${process.env.E2E_PICTURES}/tools.png` });
  // Anna's cursor is seen at Ben's, so the corner where it rests is left out.
  const half = { width: WIDTH, height: HEIGHT - 60 };
  expect(differingPixels(picture, { x: 0, y: 0, ...half }, { x: WIDTH, y: 0, ...half })).toBeLessThan(60);
  await page.context().close();
});

test('selects, moves, sizes, turns, groups, orders, locks, copies, undoes', async () => {
  const page = await boards(['Anna', 'Ben']);
  await act(page, 'tool rectangle');
  await drag(page, [100, 100], [200, 160]);
  const rectangle = async (): Promise<number[]> =>
    (await shown(page, 1)).find(({ type }) => type === 'rectangle')?.t ?? [];
  expect(await rectangle()).toEqual([150, 130, 1, 1, 0]);
  // It is selected. Its line is what it is taken by: it has no area.
  await drag(page, [100, 115], [140, 155]);
  expect(await rectangle()).toEqual([190, 170, 1, 1, 0]);
  // The lower right handle.
  await drag(page, [240, 200], [340, 260]);
  expect((await rectangle()).map((value) => Math.round(value * 100) / 100)).toEqual([240, 200, 2, 2, 0]);
  // The handle above turns it; shift by steps of 15 degrees.
  await page.keyboard.down('Shift');
  await drag(page, [240, 112], [330, 200]);
  await page.keyboard.up('Shift');
  expect((await rectangle())[4]).toBeCloseTo(Math.PI / 2, 2);
  for (const expected of [0, 0, 0]) {
    await page.keyboard.press('Control+z');
    expect((await rectangle())[4]).toBe(expected);
  }
  expect(await rectangle()).toEqual([150, 130, 1, 1, 0]);
  await page.keyboard.press('Control+Shift+z');
  await page.keyboard.press('Control+d');
  expect((await shown(page, 1)).length).toBe(2);
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Control+g');
  await page.keyboard.press('ArrowRight');
  expect((await shown(page, 1)).map(({ t }) => t[0])).toEqual([200, 220]);
  await page.keyboard.press('Escape');
  await page.mouse.click(150, 170);
  await page.keyboard.press('ArrowDown');
  // One of a group takes the other along.
  expect((await shown(page, 1)).map(({ t }) => t[1])).toEqual([180, 200]);
  await page.keyboard.press('Control+Shift+l');
  await page.keyboard.press('Delete');
  expect((await shown(page, 1)).map(({ locked }) => locked)).toEqual([true, true]);
  await page.keyboard.press('Control+Shift+l');
  await page.keyboard.press('Control+c');
  await page.keyboard.press('Control+v');
  expect((await shown(page, 1)).length).toBe(4);
  await page.keyboard.press('Control+x');
  expect((await shown(page, 1)).length).toBe(2);
  await page.context().close();
});

test('rubs out objects and parts of strokes, pans and zooms, and has no word for who may not draw', async () => {
  const page = await boards(['Anna', 'Ben']);
  await act(page, 'tool pen');
  await drag(page, [100, 100], [400, 100], 30);
  await page.evaluate(() => {
    (window as unknown as BoardWindow).opened.surfaces[0]?.desk.get().choose({ eraser: 'partial' });
  });
  await act(page, 'tool eraser');
  await drag(page, [250, 60], [250, 140], 10);
  expect((await shown(page, 1)).map(({ type }) => type)).toEqual(['pen', 'pen']);
  await page.keyboard.press('Control+z');
  expect((await shown(page, 1)).length).toBe(1);
  await page.evaluate(() => {
    (window as unknown as BoardWindow).opened.surfaces[0]?.desk.get().choose({ eraser: 'object' });
  });
  await drag(page, [300, 60], [300, 140]);
  expect(await shown(page, 1)).toEqual([]);
  await page.keyboard.press('Control+z');

  const camera = (): Promise<{ x: number; y: number; zoom: number }> =>
    page.evaluate(() => {
      const desk = (window as unknown as BoardWindow).opened.surfaces[0]?.desk.get();
      return desk?.camera.get() ?? { x: 0, y: 0, zoom: 0 };
    });
  await page.mouse.move(300, 100);
  await page.mouse.wheel(0, 50);
  expect(await camera()).toEqual({ x: 0, y: 50, zoom: 1 });
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -40);
  await page.keyboard.up('Control');
  const { x, y, zoom } = await camera();
  expect(zoom).toBeCloseTo(Math.exp(0.4), 2);
  // What was under the pointer still is.
  expect((300 - 0) / zoom + x).toBeCloseTo(300, 1);
  expect(100 / zoom + y).toBeCloseTo(150, 1);
  await page.keyboard.down('Space');
  await drag(page, [300, 100], [310, 120]);
  await page.keyboard.up('Space');
  expect((await camera()).x).toBeCloseTo(x - 10 / zoom, 2);

  await page.evaluate(() => {
    const [board] = (window as unknown as BoardWindow).opened.boards;
    board?.state.set({ ...board.state.get(), mayDraw: false });
  });
  await act(page, 'tool pen');
  await drag(page, [50, 50], [90, 90]);
  await page.keyboard.press('Control+z');
  expect((await shown(page, 1)).length).toBe(1);
  const notices = await page.evaluate(() => (window as unknown as BoardWindow).opened.notices);
  expect(notices).toEqual(['{"kind":"may-not"}', '{"kind":"may-not"}']);
  await page.context().close();
});

test('shows others at work before they have done it, and follows', async () => {
  const page = await boards(['Anna', 'Ben']);
  await act(page, 'tool pen');
  await page.mouse.move(100, 100);
  await page.mouse.down();
  await page.mouse.move(300, 200, { steps: 20 });
  await page.waitForTimeout(300);
  expect(await shown(page, 1)).toEqual([]);
  const live = await page.screenshot({ clip: { x: WIDTH, y: 0, width: WIDTH, height: HEIGHT } });
  if (process.env.E2E_PICTURES !== undefined)
    await page.screenshot({ path: `${process.env.E2E_PICTURES}/live.png` });
  await page.mouse.up();
  await page.mouse.move(20, 400);
  await page.waitForTimeout(400);
  expect((await shown(page, 1)).length).toBe(1);
  const done = await page.screenshot({ clip: { x: WIDTH, y: 0, width: WIDTH, height: HEIGHT } });
  const middle = { x: 140, y: 110, width: 120, height: 80 };
  // The line was there before, as well as it is now.
  expect(differingPixels(live, middle, middle, done)).toBeLessThan(200);
  const blank = { x: 140, y: 300, width: 120, height: 80 };
  expect(differingPixels(live, middle, blank)).toBeGreaterThan(300);

  await page.evaluate(() => {
    const { opened } = window as unknown as BoardWindow;
    opened.surfaces[0]?.present(true);
    opened.surfaces[1]?.follow(2);
  });
  await page.mouse.wheel(0, 300);
  await page.waitForTimeout(300);
  const y = await page.evaluate(() =>
    (window as unknown as BoardWindow).opened.surfaces.map((surface) => surface.desk.get().camera.get().y),
  );
  expect(y[0]).toBe(300);
  expect(y[1]).toBeCloseTo(300, 0);
  await page.context().close();
});

test('takes fingers: one draws, two pinch; with a pencil at hand fingers move the page', async () => {
  const page = await boards(['Anna'], true);
  const session = await page.context().newCDPSession(page);
  const touch = async (
    type: 'touchStart' | 'touchMove' | 'touchEnd',
    points: [number, number][],
  ): Promise<void> => {
    await session.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: points.map(([x, y], id) => ({ x, y, id })),
    });
  };
  await act(page, 'tool pen');
  await touch('touchStart', [[100, 100]]);
  for (let step = 1; step <= 5; step++) await touch('touchMove', [[100 + 20 * step, 100]]);
  await touch('touchEnd', []);
  expect((await shown(page)).map(({ type }) => type)).toEqual(['pen']);
  await touch('touchStart', [[200, 200]]);
  await touch('touchStart', [
    [200, 200],
    [300, 200],
  ]);
  for (let step = 1; step <= 5; step++) {
    await touch('touchMove', [
      [200 - 10 * step, 200],
      [300 + 10 * step, 200],
    ]);
  }
  await touch('touchEnd', []);
  const zoom = await page.evaluate(
    () => (window as unknown as BoardWindow).opened.surfaces[0]?.desk.get().camera.get().zoom,
  );
  expect(zoom).toBeCloseTo(2, 1);
  expect((await shown(page)).length).toBe(1);
  // A pencil, with pressure.
  const pen = async (type: string, x: number, y: number, force: number): Promise<void> => {
    await session.send('Input.dispatchMouseEvent', {
      type: type as 'mousePressed',
      x,
      y,
      button: 'left',
      buttons: type === 'mouseReleased' ? 0 : 1,
      clickCount: 1,
      pointerType: 'pen',
      force,
    });
  };
  await pen('mousePressed', 100, 300, 0.2);
  for (let step = 1; step <= 10; step++) await pen('mouseMoved', 100 + 20 * step, 300, step / 10);
  await pen('mouseReleased', 300, 300, 0);
  expect((await shown(page)).length).toBe(2);
  await touch('touchStart', [[100, 100]]);
  for (let step = 1; step <= 5; step++) await touch('touchMove', [[100 + 20 * step, 100]]);
  await touch('touchEnd', []);
  expect((await shown(page)).length).toBe(2);
  await page.context().close();
});
