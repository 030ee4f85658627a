/** In whose light a board is seen. A colour of the palette is another one on dark paper. */
export type Theme = 'light' | 'dark';

interface Tint {
  line: Record<Theme, string>;
  /** Of areas, lighter (darker on dark paper), so that ink can be read on it. */
  area: Record<Theme, string>;
}

const tint = (line: string, darkLine: string, area: string, darkArea: string): Tint => ({
  line: { light: line, dark: darkLine },
  area: { light: area, dark: darkArea },
});

/** Documents have the names; what they look like is the page's. */
export const PALETTE = {
  ink: tint('#1b1f24', '#eceef1', '#e6e8eb', '#3a3f47'),
  gray: tint('#6b7280', '#9aa3af', '#eef0f2', '#2c3138'),
  red: tint('#d62f2f', '#ff7a76', '#ffd6d3', '#5c2626'),
  orange: tint('#d9660a', '#ffa057', '#ffe0c2', '#5a3717'),
  yellow: tint('#c99700', '#f5cf52', '#fff0b3', '#544510'),
  green: tint('#1f8a43', '#63d084', '#cdf2d6', '#1d4a2b'),
  teal: tint('#0d8484', '#4fd0cb', '#c9f1ee', '#174a48'),
  blue: tint('#1d66d6', '#7ab0ff', '#d3e4ff', '#1f3a66'),
  violet: tint('#7a3fd1', '#bd99ff', '#e6daff', '#3f2a63'),
  pink: tint('#cf2f86', '#ff8cc6', '#ffd9ec', '#5a2344'),
} as const satisfies Record<string, Tint>;

export type ColorName = keyof typeof PALETTE;
export const COLORS = Object.keys(PALETTE) as ColorName[];

export const PAPER: Record<Theme, string> = { light: '#ffffff', dark: '#16181c' };

function tintOf(color: string): Tint | null {
  return Object.hasOwn(PALETTE, color) ? PALETTE[color as ColorName] : null;
}

/** CSS of a line's colour. A name of a later version is ink. */
export function lineColor(color: string, theme: Theme): string {
  if (color.startsWith('#')) return color;
  return (tintOf(color) ?? PALETTE.ink).line[theme];
}

/** CSS of an area's colour. */
export function areaColor(color: string, theme: Theme): string {
  if (color.startsWith('#')) return color;
  return (tintOf(color) ?? PALETTE.gray).area[theme];
}

/** The ink that can be read on an area. */
export function inkOn(area: string, theme: Theme): string {
  if (!area.startsWith('#')) return PALETTE.ink.line[theme];
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map(
    (at) => Number.parseInt(area.slice(at, at + 2), 16) / 255,
  );
  const light = 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2;
  return PALETTE.ink.line[light > 0.3 ? 'light' : 'dark'];
}
