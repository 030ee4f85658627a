import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What is said in these tests: sentences without long pauses. */
export const LINES = [
  'Good morning everybody, it is a pleasure to see you all here again so early in the week',
  'I have looked at the numbers of last month and they are a good deal better than we thought',
  'Then let us begin with the first point on the list and leave the rest for the afternoon',
] as const;

/** A sentence as a WAV file in base64, spoken by espeak-ng; the same in every run. */
export async function speech(text: string, voice: string): Promise<string> {
  const { stdout } = await run('espeak-ng', ['--stdout', '-v', voice, '-s', '150', text], {
    encoding: 'buffer',
    maxBuffer: 8 << 20,
  });
  return stdout.toString('base64');
}
