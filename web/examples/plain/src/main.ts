import { joinRoom, MetaApi, randomKey, type Room } from '@madang/sdk';

const server = document.documentElement.dataset.madang ?? '';
const api = new MetaApi(server);
const name = document.createElement('input');
name.placeholder = 'Your name';
const button = document.createElement('button');
button.textContent = 'Join';
const said = document.createElement('output');
const main = document.createElement('main');
document.body.append(name, button, said, main);

button.addEventListener('click', () => {
  button.disabled = true;
  join().catch((error: unknown) => {
    said.value = String(error);
    button.disabled = false;
  });
});

async function join(): Promise<void> {
  // The address is the invitation.
  const group = location.hash.slice(1) || (await api.createGroup({}, randomKey())).id;
  location.hash = group;
  const { token } = await api.groupToken(group, { name: name.value });
  const room = await joinRoom(server, token, { mic: true, camera: true, receive: { tiles: 9 } });
  room.state.subscribe(() => (said.value = room.state.get().call));
  const tiles = new Map<string, () => void>();
  const draw = (): void => {
    const people = room.people.get();
    for (const [id, person] of people) if (!tiles.has(id)) tiles.set(id, tile(room, id, person.name));
    for (const [id, close] of tiles) if (!people.has(id) && tiles.delete(id)) close();
  };
  room.people.subscribe(draw);
  draw();
}

/** Shows somebody; the returned function takes it away. */
function tile(room: Room, participant: string, name: string): () => void {
  const figure = main.appendChild(document.createElement('figure'));
  const el = figure.appendChild(document.createElement('video'));
  el.width = 320;
  el.height = 180;
  figure.appendChild(document.createElement('figcaption')).textContent = name;
  const view = room.view({ participant, source: 'camera' }, { el });
  return () => {
    view.close();
    figure.remove();
  };
}
