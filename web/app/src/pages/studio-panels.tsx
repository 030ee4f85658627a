import { type SubmitEvent, type ReactNode, useState } from 'react';
import { Meter } from '../components/meter';
import { Notice } from '../components/message';
import { ToldField, tooMany } from '../components/told-field';
import { noDeviceWords } from '../lib/preview-words';
import { captureWords } from '../lib/words';
import { useStudio } from '../store/studio';
import { studio } from '../store/studio-session';
import { t } from '../texts';
import { PlanField } from './studio-plans';

/** Title and description; saved with a button once the broadcast exists. */
export function TextsPanel(): ReactNode {
  const name = useStudio((state) => state.name);
  const description = useStudio((state) => state.description);
  const broadcast = useStudio((state) => state.broadcast);
  const [state, setState] = useState<'idle' | 'saving' | 'saved' | 'failed'>('idle');
  const changed = broadcast !== null && (name !== broadcast.name || description !== broadcast.description);
  const long = tooMany(name) + tooMany(description) > 0;
  const save = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!changed || long) return;
    setState('saving');
    studio.saveTexts().then(
      () => setState('saved'),
      () => setState('failed'),
    );
  };
  const edit = (change: { name?: string; description?: string }): void => {
    setState('idle');
    useStudio.setState(change);
  };
  return (
    <form className="panel form" onSubmit={save}>
      <ToldField
        label={t.title}
        value={name}
        placeholder={t.titlePlaceholder}
        onChange={(value) => edit({ name: value })}
        testId="name"
      />
      <ToldField
        label={t.description}
        lines={2}
        value={description}
        placeholder={t.descriptionPlaceholder}
        onChange={(value) => edit({ description: value })}
        testId="description"
      />
      {broadcast === null ? <PlanField /> : null}
      {broadcast === null ? null : (
        <div className="row">
          <button
            type="submit"
            className="button"
            disabled={!changed || long || state === 'saving'}
            data-testid="save"
          >
            {state === 'saving' ? <span className="spinner small" /> : null}
            {t.save}
          </button>
          <span className="quiet small" role="status">
            {state === 'saved' && !changed ? t.saved : null}
          </span>
          {state === 'failed' ? <Notice tone="error">{t.failureServer}</Notice> : null}
        </div>
      )}
    </form>
  );
}

/** Which camera and microphone, and what is wrong with them. */
export function DevicesPanel(): ReactNode {
  const microphone = useStudio((state) => state.microphone);
  const screenFailure = useStudio((state) => state.screen.failure);
  return (
    <section className="panel form" aria-labelledby="devices-title">
      <h2 id="devices-title">{t.devices}</h2>
      <Picker kind="camera" />
      <Picker kind="microphone" />
      <Meter track={microphone.track} muted={!microphone.on} />
      {screenFailure === null ? null : <Notice tone="error">{captureWords('screen', screenFailure)}</Notice>}
    </section>
  );
}

const KINDS = {
  camera: { input: 'videoinput', label: t.camera, numbered: t.cameraN, none: t.noCamera },
  microphone: { input: 'audioinput', label: t.microphone, numbered: t.microphoneN, none: t.noMicrophone },
} as const;

function Picker({ kind }: { kind: 'camera' | 'microphone' }): ReactNode {
  const device = useStudio((state) => state[kind]);
  const devices = useStudio((state) => state.devices);
  const { input, label, numbered, none } = KINDS[kind];
  const choices = devices.filter((candidate) => candidate.kind === input);
  return (
    <>
      <label className="field">
        <span>{label}</span>
        <select
          className="select"
          value={device.deviceId}
          disabled={choices.length === 0}
          onChange={(event) => void studio.devices.choose(kind, event.target.value)}
          data-testid={`${kind}-select`}
        >
          {choices.length === 0 ? (
            <option value={device.deviceId}>{noDeviceWords(device, none)}</option>
          ) : null}
          {choices.map((choice, index) => (
            <option key={choice.deviceId} value={choice.deviceId}>
              {choice.label === '' ? numbered(index + 1) : choice.label}
            </option>
          ))}
        </select>
      </label>
      {device.failure === null ? null : (
        <Notice tone="error" testId={`${kind}-problem`}>
          <p>{captureWords(kind, device.failure)}</p>
          {device.failure === 'insecure' || device.failure === 'unsupported' ? null : (
            <button type="button" className="button" onClick={() => void studio.devices.retry(kind)}>
              {t.retry}
            </button>
          )}
        </Notice>
      )}
    </>
  );
}
