import { useEffect, useRef, useState } from 'react';
import type { Outcome } from '@madang/sdk';
import { commandWords } from '../lib/call-words';

/** Waits for what becomes of a command, and has in words why it was refused. */
export function useCommand(): {
  busy: boolean;
  refusal: string | null;
  run: (outcome: Promise<Outcome>) => void;
} {
  const [waiting, setWaiting] = useState(0);
  const [refusal, setRefusal] = useState<string | null>(null);
  const gone = useRef(false);
  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
    };
  }, []);
  const run = (outcome: Promise<Outcome>): void => {
    setRefusal(null);
    setWaiting((count) => count + 1);
    const lost: Outcome = { sent: false, reason: 'lost', retryAfterMs: null };
    void outcome
      .catch(() => lost)
      .then((settled) => {
        if (gone.current) return;
        setWaiting((count) => count - 1);
        if (!settled.sent) setRefusal(commandWords(settled.reason));
      });
  };
  return { busy: waiting > 0, refusal, run };
}
