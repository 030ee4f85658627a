import { type ReactNode, useEffect, useState } from 'react';
import { ApiError } from '@madang/sdk';
import { Notice } from '../components/message';
import { Told } from '../components/told';
import { tooMany } from '../components/told-field';
import { othersUrl } from '../lib/api';
import { calendarTime } from '../lib/format';
import { useCopy } from '../lib/hooks';
import type { KeptPlan } from '../lib/storage';
import { cancelPlan, checkPlans, plan, planFault, usePlans } from '../store/plans';
import { useStudio } from '../store/studio';
import { studio } from '../store/studio-session';
import { t } from '../texts';

/** When the broadcast is to begin, and the button that makes it so. Without a time nothing of it is in the way. */
export function PlanField(): ReactNode {
  const [at, setAt] = useState('');
  const [state, setState] = useState<'idle' | 'busy' | 'past' | 'full' | 'failed'>('idle');
  const long = useStudio(({ name, description }) => tooMany(name) + tooMany(description) > 0);
  const submit = (): void => {
    const { name, description, creatorToken } = useStudio.getState();
    const atMs = new Date(at).getTime();
    const fault = planFault({ atMs }, Date.now());
    if (fault !== null) {
      setState(fault);
      return;
    }
    setState('busy');
    const texts = { name: name.trim(), description: description.trim() };
    plan({ ...texts, atMs, creatorToken: creatorToken?.trim() ?? '' }).then(
      () => {
        setState('idle');
        setAt('');
        useStudio.setState({ name: '', description: '' });
      },
      (error: unknown) => {
        setState('failed');
        // Whoever is not known is asked for a token, in the same field as for going live.
        const unknown = error instanceof ApiError && (error.status === 401 || error.status === 403);
        if (unknown) useStudio.setState({ creatorToken: creatorToken ?? '' });
      },
    );
  };
  return (
    <div className="plan-field">
      <label className="field">
        <span>{t.planAt}</span>
        <input
          className="input"
          type="datetime-local"
          value={at}
          onChange={(event) => {
            setAt(event.target.value);
            setState('idle');
          }}
          data-testid="plan-at"
        />
      </label>
      {at === '' ? null : (
        <>
          <small className="field-hint">{t.planHint}</small>
          {state === 'past' || state === 'full' || state === 'failed' ? (
            <Notice tone="error" testId="plan-problem">
              {{ past: t.planPast, full: t.planFull, failed: t.planFailed }[state]}
            </Notice>
          ) : null}
          <button
            type="button"
            className="button"
            disabled={state === 'busy' || long}
            onClick={submit}
            data-testid="plan"
          >
            {state === 'busy' ? <span className="spinner small" /> : null}
            {t.planSubmit}
          </button>
        </>
      )}
    </div>
  );
}

/** What was planned in this browser. */
export function PlansPanel(): ReactNode {
  const plans = usePlans((state) => state.plans);
  useEffect(() => void checkPlans(), []);
  if (plans.length === 0) return null;
  return (
    <section className="panel form" aria-labelledby="plans-title" data-testid="plans">
      <h2 id="plans-title">{t.plansTitle}</h2>
      <ul className="plans">
        {plans.map((kept) => (
          <Plan key={kept.id} plan={kept} />
        ))}
      </ul>
    </section>
  );
}

function Plan({ plan: kept }: { plan: KeptPlan }): ReactNode {
  const [state, setState] = useState<'idle' | 'busy' | 'failed'>('idle');
  const { label, copy } = useCopy(othersUrl(new URL(kept.watchUrl, location.href).href));
  const cancel = (): void => {
    setState('busy');
    cancelPlan(kept).catch(() => setState('failed'));
  };
  return (
    <li className="plan" data-testid="planned">
      <strong>
        <Told text={kept.name === '' ? t.untitled : kept.name} />
      </strong>
      <span className="quiet small">{calendarTime(kept.plannedAt)}</span>
      <span className="row">
        <button
          type="button"
          className="button"
          onClick={() => void studio.begin(kept)}
          data-testid="plan-start"
        >
          {t.planStart}
        </button>
        <button type="button" className="button" onClick={copy}>
          <span aria-live="polite">{label}</span>
        </button>
        <button
          type="button"
          className="button"
          disabled={state === 'busy'}
          onClick={cancel}
          data-testid="plan-cancel"
        >
          {t.planCancel}
        </button>
      </span>
      {state === 'failed' ? <Notice tone="error">{t.planFailed}</Notice> : null}
    </li>
  );
}
