import { MetaApi, randomKey } from '@madang/sdk';
import { createRoot } from 'react-dom/client';
import './call.css';
import { Page } from './page';

const server = document.documentElement.dataset.madang ?? '';

/** The call that the address names; without one, a new one. */
async function groupOfPage(): Promise<string> {
  const named = new URLSearchParams(location.search).get('group');
  if (named !== null) return named;
  const { id } = await new MetaApi(server).createGroup({}, randomKey());
  history.replaceState(null, '', `?group=${id}`);
  return id;
}

const root = createRoot(document.body.appendChild(document.createElement('div')));
root.render(<Page server={server} group={await groupOfPage()} />);
