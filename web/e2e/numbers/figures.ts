import { readFile, writeFile } from 'node:fs/promises';

/** Where the figures go, if anywhere: an object of arrays of samples. */
const out = process.env.NUMBERS_OUT;

/** What one file of figures has measured. */
export class Figures {
  private readonly samples: Record<string, number[]> = {};

  /** Adds a sample, and says it: of a run that ends early one knows what it had. */
  add(name: string, value: number): void {
    if (!Number.isFinite(value)) throw new Error(`${name}: ${value} is no figure`);
    (this.samples[name] ??= []).push(value);
    console.log(`${name}: ${value.toFixed(1)}`);
  }

  /** The first sample of a figure. */
  of(name: string): number | undefined {
    return this.samples[name]?.[0];
  }

  /** Puts them beside those that other files have left. */
  async save(): Promise<void> {
    if (out === undefined) return;
    const before = await readFile(out, 'utf8').catch(() => '{}');
    await writeFile(out, JSON.stringify({ ...(JSON.parse(before) as object), ...this.samples }));
  }
}

/** The value that this part of them does not pass. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? NaN;
}
