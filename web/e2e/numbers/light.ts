import { createGroup } from '../harness/callers';
import type { Madang } from '../harness/madang';
import { Child, binary } from '../harness/process';
import { CLIP_FPS } from './clip';

/** So many a second join. */
export const JOIN_RATE = 5;
/** They are there within this time, more of them a second at a time. */
const JOINED_WITHIN_MS = 60_000;
/** They leave within this time, else they are ended. */
const LEFT_WITHIN_MS = 10_000;
/** They end by themselves after this time, in seconds: of a run that was killed nothing is left. */
const LIFE_S = 300;

/** Light clients in a call, who send a clip and all speak. */
export class LightCall {
  private constructor(
    readonly group: string,
    private readonly child: Child,
  ) {}

  /** So many join a call: a new one, or `group`. They may still be on their way; see {@link LightCall.joined}. */
  static async start(
    madang: Madang,
    clip: string,
    callers: number,
    { group, rate = JOIN_RATE }: { group?: string; rate?: number } = {},
  ): Promise<LightCall> {
    const call = group ?? (await createGroup(madang.url)).id;
    const set = [
      `call.group=${call}`,
      `call.callers=${callers}`,
      'call.rejoins=0',
      'call.page_turns=0',
      'call.talk=all',
      `view.join_rate=${rate}`,
      `run.duration_s=${LIFE_S}`,
      'publish.video=clip',
      `publish.clip=${clip}`,
      'publish.simulcast=[]',
      `publish.fps=${CLIP_FPS}`,
    ].flatMap((assignment) => ['--set', assignment]);
    return new LightCall(
      call,
      new Child('probe', binary('probe'), ['run', 'call', '--server', madang.url, ...set]),
    );
  }

  /** Resolves when all have come. */
  async joined(): Promise<void> {
    await this.child.line(/^measure$/, JOINED_WITHIN_MS);
  }

  /** They leave. */
  async leave(): Promise<void> {
    await this.child.stop(LEFT_WITHIN_MS, 'SIGINT');
  }
}
