/** What is read of an event of a trace of Chromium: the ends of tasks and the names of threads. */
interface Event {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  /** CPU time of the thread meanwhile, us. */
  tdur?: number;
  args?: { name?: string };
}

/** Categories of a trace that say what this reads, and little more. */
export const TASKS = ['toplevel'];

/**
 * CPU time of the longest task of a page's main thread in a trace, ms: unlike the time that passed, it does not count how
 * long the thread waited for a processor that others had. Of several pages the busiest one's.
 */
export function longestTaskCpu(trace: Buffer): number {
  const { traceEvents: events } = JSON.parse(trace.toString()) as { traceEvents: Event[] };
  const key = ({ pid, tid }: Event): string => `${pid} ${tid}`;
  const isMain = ({ ph, name, args }: Event): boolean =>
    ph === 'M' && name === 'thread_name' && args?.name === 'CrRendererMain';
  const threads = new Map(events.filter(isMain).map((event) => [key(event), { sum: 0, longest: 0 }]));
  for (const event of events) {
    const thread = threads.get(key(event));
    if (thread === undefined || event.ph !== 'X' || !event.name.endsWith('RunTask')) continue;
    const took = (event.tdur ?? 0) / 1_000;
    thread.sum += took;
    thread.longest = Math.max(thread.longest, took);
  }
  const [busiest] = [...threads.values()].sort((a, b) => b.sum - a.sum);
  if (busiest === undefined || busiest.longest === 0) throw new Error('no task in the trace');
  return busiest.longest;
}
