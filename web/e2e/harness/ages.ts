import { ageOf, type Mark } from './mark';

/** How old pictures were when they were first seen. */
export class Ages {
  private readonly ages: number[] = [];
  private readonly seen = new Map<number, number>();

  /** A picture on the screen at `at`: each counts once, when it is new there. */
  add(mark: Mark, at: number): void {
    if (this.seen.get(mark.person) === mark.clock) return;
    this.seen.set(mark.person, mark.clock);
    this.ages.push(ageOf(mark, at));
  }

  /** The age that this part of them does not pass, ms. */
  quantile(part: number): number {
    const sorted = [...this.ages].sort((a, b) => a - b);
    return Math.round(sorted[Math.ceil(part * sorted.length) - 1] ?? NaN);
  }

  text(): string {
    return `p50 ${this.quantile(0.5)} ms, p95 ${this.quantile(0.95)} ms of ${this.ages.length}`;
  }
}
