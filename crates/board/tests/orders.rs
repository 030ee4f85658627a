//! Any order of drawing, losing, repeating, coming back, restarting and compacting ends with the same picture for
//! everybody, and nothing that was acknowledged is lost. The pages here are `yrs` documents, as the board is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use board::{Author, Board, ClientId, Refusal};
use proptest::prelude::*;
use yrs::types::ToJson;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{
    ClientID, Doc, Map, MapPrelim, MapRef, OffsetKind, Options, Out, ReadTxn, StateVector, Text, TextPrelim,
    Transact, Update,
};

#[derive(Debug, Clone)]
enum Draw {
    Add(u8),
    Move(u8, i32),
    Write(u8, u8),
    Erase(u8),
}

#[derive(Debug, Clone)]
enum Step {
    Draw(usize, Draw),
    /// The oldest update on its way arrives.
    Arrive(usize),
    /// It arrives and its answer is lost, so that it comes again.
    ArriveTwice(usize),
    /// It is lost.
    Lose(usize),
    /// The one behind it comes first.
    Overtake(usize),
    /// What others drew reaches the page.
    Hear(usize),
    /// The page connects again and both tell what the other is missing.
    Return(usize),
    /// The server begins anew from what it has stored.
    Restart,
}

const PAGES: usize = 3;

fn draw() -> impl Strategy<Value = Draw> {
    prop_oneof![
        3 => (0_u8..6).prop_map(Draw::Add),
        3 => (0_u8..6, any::<i32>()).prop_map(|(object, to)| Draw::Move(object, to)),
        2 => (0_u8..6, 0_u8..8).prop_map(|(object, at)| Draw::Write(object, at)),
        1 => (0_u8..6).prop_map(Draw::Erase),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let page = 0..PAGES;
    prop_oneof![
        8 => (page.clone(), draw()).prop_map(|(page, draw)| Step::Draw(page, draw)),
        5 => page.clone().prop_map(Step::Arrive),
        1 => page.clone().prop_map(Step::ArriveTwice),
        1 => page.clone().prop_map(Step::Lose),
        1 => page.clone().prop_map(Step::Overtake),
        5 => page.clone().prop_map(Step::Hear),
        1 => page.prop_map(Step::Return),
        1 => Just(Step::Restart),
    ]
}

struct Page {
    author: Author,
    id: ClientId,
    doc: Doc,
    sent: VecDeque<Vec<u8>>,
    heard: VecDeque<Vec<u8>>,
}

impl Page {
    fn new(board: &mut Board, index: usize) -> Self {
        let author = Author(format!("par_{index}").into());
        let id = board.admit(author.clone()).unwrap();
        let options =
            Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(ClientID::new(id.0)) };
        let doc = Doc::with_options(options);
        doc.get_or_insert_map("objects");
        Self { author, id, doc, sent: VecDeque::new(), heard: VecDeque::new() }
    }

    fn draw(&mut self, draw: &Draw) {
        let objects = self.doc.get_or_insert_map("objects");
        let mut change = self.doc.transact_mut();
        let found = |change: &yrs::TransactionMut<'_>, object: u8| -> Option<MapRef> {
            match objects.get(change, &name(object)) {
                Some(Out::YMap(map)) => Some(map),
                _ => None,
            }
        };
        match *draw {
            Draw::Add(object) => {
                let text: yrs::In = TextPrelim::new("a\u{1f58a}").into();
                let fields = MapPrelim::from([("kind", yrs::In::from("note")), ("text", text)]);
                objects.insert(&mut change, name(object), fields);
            }
            Draw::Move(object, to) => {
                if let Some(map) = found(&change, object) {
                    map.insert(&mut change, "transform", to);
                }
            }
            Draw::Write(object, at) => {
                if let Some(Out::YText(text)) =
                    found(&change, object).and_then(|map| map.get(&change, "text"))
                {
                    let at = u32::from(at).min(text.len(&change));
                    text.insert(&mut change, at, "\u{d55c}x");
                }
            }
            Draw::Erase(object) => {
                objects.remove(&mut change, &name(object));
            }
        }
        let update = change.encode_update_v1();
        if update != [0, 0] {
            self.sent.push_back(update);
        }
    }

    fn hear(&mut self, update: &[u8]) {
        self.doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    }

    fn picture(&self) -> BTreeMap<String, serde_json::Value> {
        let objects = self.doc.get_or_insert_map("objects");
        let read = self.doc.transact();
        let json = |value: Out| {
            let mut json = String::new();
            value.to_json(&read).to_json(&mut json);
            serde_json::from_str(&json).unwrap()
        };
        objects.iter(&read).map(|(key, value)| (key.to_owned(), json(value))).collect()
    }
}

fn name(object: u8) -> Arc<str> {
    format!("o{object}").into()
}

struct Server {
    board: Board,
    stored: Vec<Vec<u8>>,
}

impl Server {
    /// Takes an update of a page and sends it on.
    fn take(&mut self, pages: &mut [Page], from: usize, update: &[u8]) -> Result<(), Refusal> {
        self.board.apply(&pages[from].author, pages[from].id, update)?;
        self.stored.push(update.to_vec());
        for (index, page) in pages.iter_mut().enumerate() {
            if index != from {
                page.heard.push_back(update.to_vec());
            }
        }
        Ok(())
    }

    fn restart(&mut self, pages: &[Page]) {
        let clients = pages.iter().map(|page| (page.id, page.author.clone()));
        let restored = Board::restored(1, self.stored.iter().map(Vec::as_slice), clients).unwrap();
        assert_eq!(restored.entries("objects"), self.board.entries("objects"));
        // One that was stored as a whole is the same.
        let whole = self.board.whole();
        let again = Board::restored(1, [whole.as_slice()], []).unwrap();
        assert_eq!(again.entries("objects"), self.board.entries("objects"));
        for page in pages {
            assert_eq!(again.has(page.id), self.board.has(page.id));
        }
        self.board = restored;
        // From the whole on, as after the log was cut.
        self.stored = vec![whole];
    }
}

/// A page connects again: it gets what it is missing, and sends what the board does not have.
fn come_back(server: &mut Server, pages: &mut [Page], index: usize) {
    let page = &mut pages[index];
    page.sent.clear();
    page.heard.clear();
    let state = page.doc.transact().state_vector().encode_v1();
    let missing = server.board.missing(&state).unwrap();
    page.hear(&missing);
    let known = StateVector::decode_v1(&server.board.state()).unwrap();
    let unsent = page.doc.transact().encode_state_as_update_v1(&known);
    server.take(pages, index, &unsent).unwrap();
}

fn run(steps: &[Step]) {
    let mut board = Board::new(1);
    let mut pages: Vec<Page> = (0..PAGES).map(|index| Page::new(&mut board, index)).collect();
    let mut server = Server { board, stored: Vec::new() };
    for step in steps {
        match *step {
            Step::Draw(page, ref draw) => pages[page].draw(draw),
            Step::Arrive(page) => {
                if let Some(update) = pages[page].sent.pop_front() {
                    arrive(&mut server, &mut pages, page, &update);
                }
            }
            Step::ArriveTwice(page) => {
                if let Some(update) = pages[page].sent.pop_front() {
                    arrive(&mut server, &mut pages, page, &update);
                    let before = server.board.whole().len();
                    arrive(&mut server, &mut pages, page, &update);
                    assert_eq!(server.board.whole().len(), before);
                }
            }
            Step::Lose(page) => drop(pages[page].sent.pop_front()),
            Step::Overtake(page) => {
                if pages[page].sent.len() > 1 {
                    pages[page].sent.swap(0, 1);
                }
            }
            Step::Hear(page) => {
                if let Some(update) = pages[page].heard.pop_front() {
                    pages[page].hear(&update);
                }
            }
            Step::Return(page) => come_back(&mut server, &mut pages, page),
            Step::Restart => server.restart(&pages),
        }
    }
    for index in 0..PAGES {
        come_back(&mut server, &mut pages, index);
    }
    for index in 0..PAGES {
        come_back(&mut server, &mut pages, index);
    }
    let picture = server.board.entries("objects");
    for page in &pages {
        assert_eq!(page.picture(), picture);
    }
    let compacted = server.board.compacted();
    assert_eq!(compacted.epoch(), 2);
    assert_eq!(compacted.entries("objects"), server.board.entries("objects"));
    assert_eq!(compacted.whole().len(), compacted.size());
}

fn arrive(server: &mut Server, pages: &mut [Page], from: usize, update: &[u8]) {
    match server.take(pages, from, update) {
        Ok(()) => {}
        // Something before it was lost: the page connects again, as pages do.
        Err(Refusal::Gap { .. } | Refusal::Unknown(_)) => come_back(server, pages, from),
        Err(other) => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: proptest::test_runner::RngSeed::Fixed(12),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn any_order_ends_with_one_picture(steps in prop::collection::vec(step(), 1..120)) {
        run(&steps);
    }
}
