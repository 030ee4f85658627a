//! A page that draws: a document of `yrs`, the connection that it draws by, and what it hears.
#![allow(dead_code, unreachable_pub)]

use std::collections::{HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::token::Grant;
use serde_json::{Value, json};
use yrs::updates::decoder::Decode as _;
use yrs::{ClientID, Doc, Map, MapPrelim, OffsetKind, Options, Transact, Update};

use crate::support::{Peer, Service, join_token};

pub const ROOM: &str = "grp_board";
pub const APP: &str = "/app/-/board/grp_board";
pub const TOPIC: &str = "/topic/-/board/grp_board";
pub const DRAWS: &[Grant] = &[Grant::Subscribe, Grant::Draw];

/// A page: a document, the connection that it draws by, and what it heard.
pub struct Page {
    pub peer: Peer,
    pub token: String,
    pub doc: Doc,
    pub epoch: u64,
    pub client: u64,
    pub holder: String,
    pub requests: u32,
    /// Answers that came before others were asked for.
    pub answers: HashMap<String, Value>,
    /// What came on the topic.
    pub heard: VecDeque<Value>,
}

impl Page {
    pub async fn open(service: &Service, name: &str) -> Self {
        Self::with_token(service, &join_token(name, ROOM, DRAWS, None)).await
    }

    pub async fn with_token(service: &Service, token: &str) -> Self {
        let mut page = Self::reading(service, token).await;
        let done = page.ask(json!({"type": "open"})).await;
        assert_eq!(done["outcome"], "done", "{done}");
        page.took(&done);
        page
    }

    /// One that reads and has asked for no id.
    pub async fn reading(service: &Service, token: &str) -> Self {
        let mut peer = Peer::with_token(service, token).await;
        peer.replies().await;
        peer.subscribe("board", TOPIC).await;
        let mut page = Self {
            peer,
            token: token.to_owned(),
            doc: document(0),
            epoch: 0,
            client: 0,
            holder: String::new(),
            requests: 0,
            answers: HashMap::new(),
            heard: VecDeque::new(),
        };
        let opened = page.hear("open").await;
        page.epoch = opened["epoch"].as_u64().unwrap();
        page
    }

    pub fn took(&mut self, done: &Value) {
        self.epoch = done["board"]["epoch"].as_u64().unwrap();
        self.client = done["board"]["client"].as_u64().unwrap();
        self.holder = done["board"]["holder"].as_str().unwrap().to_owned();
        self.doc = document(self.client);
    }

    /// Sends a command, and gives back what is answered.
    pub async fn ask(&mut self, command: Value) -> Value {
        let id = self.send(command).await;
        self.answer(&id).await
    }

    pub async fn send(&mut self, command: Value) -> String {
        self.requests += 1;
        let id = format!("q{}", self.requests);
        self.peer.request(&id, APP, &command.to_string()).await;
        id
    }

    pub async fn answer(&mut self, id: &str) -> Value {
        loop {
            if let Some(answer) = self.answers.remove(id) {
                return answer;
            }
            let message = self.peer.message().await;
            let body: Value = serde_json::from_slice(&message.body).unwrap();
            if message.headers.get("destination") == Some(TOPIC) {
                self.heard.push_back(body);
            } else {
                self.answers.insert(body["request"].as_str().unwrap().to_owned(), body);
            }
        }
    }

    /// The next event of a kind; those before it are passed over, but for updates, which are taken in.
    pub async fn hear(&mut self, kind: &str) -> Value {
        loop {
            let event = match self.heard.pop_front() {
                Some(event) => event,
                None => {
                    let message = self.peer.message().await;
                    assert_eq!(message.headers.get("destination"), Some(TOPIC), "{message:?}");
                    serde_json::from_slice(&message.body).unwrap()
                }
            };
            if let Some(update) = event["update"].as_str() {
                take(&self.doc, &STANDARD.decode(update).unwrap());
            }
            if event["type"] == kind {
                return event;
            }
        }
    }

    pub fn update(&self, bytes: &[u8]) -> Value {
        json!({
            "type": "update", "epoch": self.epoch, "client": self.client, "update": STANDARD.encode(bytes),
        })
    }

    /// Draws an object and waits until it is stored.
    pub async fn draw(&mut self, key: &str) {
        let update = drawn(&self.doc, key);
        let update = self.update(&update);
        let done = self.ask(update).await;
        assert_eq!(done["outcome"], "done", "{done}");
    }

    pub async fn get(&self, service: &Service, path: &str) -> reqwest::Response {
        self.call(service, reqwest::Method::GET, path, Vec::new()).await
    }

    pub async fn call(
        &self,
        service: &Service,
        method: reqwest::Method,
        path: &str,
        body: Vec<u8>,
    ) -> reqwest::Response {
        let url = service.url(&format!("/boards/{ROOM}/{path}"));
        let request = reqwest::Client::new().request(method, url).bearer_auth(&self.token).body(body);
        request.send().await.unwrap()
    }
}

pub fn document(client: u64) -> Doc {
    let options =
        Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(ClientID::new(client)) };
    let doc = Doc::with_options(options);
    doc.get_or_insert_map("objects");
    doc
}

pub fn take(doc: &Doc, update: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
}

pub fn drawn(doc: &Doc, key: &str) -> Vec<u8> {
    let objects = doc.get_or_insert_map("objects");
    let mut change = doc.transact_mut();
    objects.insert(&mut change, key, MapPrelim::from([("kind", "pen")]));
    change.encode_update_v1()
}

pub fn keys(doc: &Doc) -> Vec<String> {
    let objects = doc.get_or_insert_map("objects");
    let read = doc.transact();
    let mut keys: Vec<String> = objects.keys(&read).map(str::to_owned).collect();
    keys.sort_unstable();
    keys
}

/// The board as whoever opens it gets it.
pub async fn stored(page: &Page, service: &Service) -> Vec<String> {
    let doc = document(0);
    let whole = page.get(service, "document").await;
    assert_eq!(whole.status(), 200);
    take(&doc, &whole.bytes().await.unwrap());
    keys(&doc)
}
