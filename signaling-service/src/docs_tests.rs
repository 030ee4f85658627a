//! `docs/signaling.md` and `docs/limits.md` say what the code does: every figure, setting, metric and destination that
//! can be checked is.

use contract::chat::{
    CHAT_EDIT_SECS, CHAT_HISTORY, MAX_CHAT_CHARS, MAX_FOLLOWERS_MINUTES, MAX_QUOTE_CHARS, MAX_SLOW_SECS,
    MAX_TIMEOUT_SECS,
};
use contract::destination::{Address, MAX_REQUEST_ID_LEN};
use contract::room::MAX_NAME_LEN;
use contract::room_state::SNAPSHOT_SECS;
use prometheus_client::registry::Registry;
use stomp_proto::outbox::Caps;
use stomp_proto::session::{MAX_ID_LEN, MAX_QUEUED_ANSWER_BYTES, MAX_QUEUED_ANSWERS, MAX_SUBSCRIPTIONS};
use stomp_proto::{Limits, SUBPROTOCOLS};

use crate::boards::{self, limits as board, store};
use crate::metrics::Metrics;
use crate::{Config, barred, broadcasts, chat, limits, report, rooms, unknown};

const SIGNALING: &str = include_str!("../../docs/signaling.md");
const LIMITS: &str = include_str!("../../docs/limits.md");

/// With a comma between the thousands.
fn figure(number: usize) -> String {
    let digits = number.to_string();
    let (first, rest) = digits.split_at(digits.len() % 3);
    let groups = rest.as_bytes().chunks(3).map(|group| std::str::from_utf8(group).unwrap());
    std::iter::once(first).chain(groups).filter(|group| !group.is_empty()).collect::<Vec<_>>().join(",")
}

fn kib(bytes: usize) -> String {
    if bytes.is_multiple_of(1024 * 1024) {
        format!("{} MiB", bytes / 1024 / 1024)
    } else {
        format!("{} KiB", bytes / 1024)
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    let rate = |rate: limits::Rate| {
        let burst = figure(rate.burst as usize);
        format!("| {burst}, then {}/s |", figure(rate.per_second as usize))
    };
    let pair = |person, address| format!("{}{}", rate(person), rate(address).trim_start_matches('|'));
    let config = Config::default();
    for text in [
        format!("| updates of boards {}", pair(board::UPDATE_PERSON, board::UPDATE_ADDRESS)),
        format!("who goes on for {} of them", figure(board::FLOOD.burst as usize)),
        format!("| KiB of updates {}", pair(board::BYTES_PERSON, board::BYTES_ADDRESS)),
        format!("| presences {}", pair(board::PRESENCE_PERSON, board::PRESENCE_ADDRESS)),
        format!("snapshots {}", pair(board::OPEN_PERSON, board::OPEN_ADDRESS)),
        format!(
            "| {} of {}, {} in all |",
            store::MAX_IMAGES,
            kib(contract::board::MAX_BOARD_IMAGE),
            kib(store::MAX_IMAGE_BYTES as usize)
        ),
        format!("| a board | {}, {} ids", kib(::board::MAX_BOARD), figure(::board::MAX_CLIENTS)),
        format!(
            "| an update | {}, by STOMP {} |",
            kib(::board::MAX_UPDATE),
            kib(contract::board::MAX_BOARD_FRAME)
        ),
        format!("| {}; {}, in memory", figure(boards::MAX_BOARDS), kib(boards::MAX_LOADED)),
        format!("| what waits for one board | {} |", boards::MAX_WAITING),
        format!("on their way to readers | {} |", kib(boards::MAX_SENDING_KIB * 1024)),
        format!("{} with one token", limits::MAX_CONNECTIONS_PER_PERSON),
        format!("{} (`max_connections_per_address`)", figure(config.max_connections_per_address)),
        format!("{} in all (`max_connections`)", figure(config.max_connections)),
        format!("| chat messages {}", pair(limits::CHAT_PERSON, limits::CHAT_ADDRESS)),
        format!("| commands to the room of a call {}", pair(limits::COMMAND_PERSON, limits::COMMAND_ADDRESS)),
        format!("| joins (SEND to a room) {}", pair(limits::JOIN_PERSON, limits::JOIN_ADDRESS)),
        format!("each begun KiB one {}", pair(limits::RELAY_PERSON, limits::RELAY_ADDRESS)),
        format!("however much the neighbours send {}", rate(limits::RELAY_QUIET)),
        format!("at most {} s; then refused", limits::MAX_HOLD.as_secs()),
        format!(
            "to a chat or the state of a call counts as {} {}",
            limits::CHAT_SUBSCRIPTION_COST,
            pair(limits::SUBSCRIBE_PERSON, limits::SUBSCRIBE_ADDRESS)
        ),
        format!("in turn, {}/s; {} wait", report::ASKED_AT_ONCE, unknown::MAX_WAITING),
        format!("not asked again for {} s", unknown::MISSING_LIFETIME.as_secs()),
        format!("| each once | {} |", limits::MAX_VIEWERS_PER_ADDRESS),
        format!("| {} a connection |", limits::MAX_JOINED),
        format!(
            "| {} or {} |",
            Caps::CLIENT.signal_per_sender.count,
            kib(Caps::CLIENT.signal_per_sender.bytes)
        ),
    ] {
        assert!(LIMITS.contains(&text), "limits.md does not say: {text}");
    }
}

#[test]
fn the_figures_are_those_of_the_code() {
    let Caps { state, chat: talk, signal, signal_per_sender: own } = Caps::CLIENT;
    let service = Caps::SERVICE;
    for text in [
        format!("1 to {MAX_NAME_LEN} bytes"),
        format!("1 to {MAX_CHAT_CHARS} characters"),
        format!("the last {CHAT_HISTORY} messages"),
        format!("chooses ({} characters)", chat::MAX_NAME_CHARS),
        format!("Chats of {} rooms, {} in all, are held", figure(chat::MAX_LOGS), kib(chat::MAX_BYTES)),
        format!("within {} minutes |", CHAT_EDIT_SECS / 60),
        format!("1 s to {} days |", MAX_TIMEOUT_SECS / 24 / 3600),
        format!("0 to {MAX_SLOW_SECS} between two"),
        format!("| 0 to {};", figure(MAX_FOLLOWERS_MINUTES as usize)),
        format!("text ({MAX_QUOTE_CHARS} characters)"),
        format!("the latest {} |", chat::store::SHOWN_SANCTIONS),
        format!("{} sanctions of a room", figure(chat::store::MAX_SANCTIONS as usize)),
        format!("At most {} changes wait", figure(crate::hub::chats::MAX_JOBS)),
        format!("`chat_keep_days` ({};", Config::default().chat_keep_days),
        format!("`chat_keep_messages` ({}),", figure(Config::default().chat_keep_messages as usize)),
        format!(
            "`chat_keep_messages_in_all` ({});",
            figure(Config::default().chat_keep_messages_in_all as usize)
        ),
        format!("{} broadcasts are remembered", figure(broadcasts::MAX_KNOWN)),
        format!("not renewed for {} s is dropped. `lost`", broadcasts::TRACKS_LIFETIME.as_secs()),
        format!("not renewed for {} s is dropped; a", crate::viewers::PART_LIFETIME.as_secs()),
        format!("behind one address {} count", limits::MAX_VIEWERS_PER_ADDRESS),
        format!("is remembered for {} s", unknown::MISSING_LIFETIME.as_secs()),
        format!("`request-id` ({MAX_REQUEST_ID_LEN} bytes)"),
        format!("repeats the snapshot every {SNAPSHOT_SECS} s"),
        format!("not renewed for {} s is forgotten. {}", rooms::LIFETIME.as_secs(), figure(rooms::MAX_ROOMS)),
        format!("{} removals and ends are remembered", figure(barred::MAX_BARRED)),
        format!("The home remembers the last {} of a person", room::MAX_REQUESTS),
        format!("at most one in {} ms", room::GATHER.as_millis()),
        format!("anyone: {}, then {}/s", room::REACTION_BURST, 1_000 / room::REACTION_INTERVAL.as_millis()),
        format!("| body | {} | {} |", kib(Limits::CLIENT.body), kib(Limits::SERVICE.body)),
        format!(
            "| {} of {}, {} in all | the same |",
            Limits::CLIENT.headers,
            kib(Limits::CLIENT.header_line),
            kib(Limits::CLIENT.head)
        ),
        format!("| {} and one message;", kib(crate::window::MAX_UNSENT)),
        format!("receipt | {MAX_ID_LEN} bytes | the same |"),
        format!("| {MAX_QUEUED_ANSWERS} or {};", kib(MAX_QUEUED_ANSWER_BYTES)),
        format!(
            "| WebSocket frame | {}; until CONNECTED {} |",
            kib(Limits::CLIENT.body + crate::socket::FRAME_OVERHEAD),
            kib(crate::socket::OPENING_FRAME)
        ),
        format!("to its last | {} s | the same |", stomp_proto::session::FRAME_TIMEOUT.as_secs()),
        format!("| {MAX_SUBSCRIPTIONS} each |"),
        format!(
            "| {} or {}, of one sender's address {} or {}; then the sender is refused | {} or {}; the same |",
            figure(signal.count),
            kib(signal.bytes),
            figure(own.count),
            kib(own.bytes),
            figure(service.signal.count),
            kib(service.signal.bytes)
        ),
        format!("| waiting chat | {} or {};", talk.count, kib(talk.bytes)),
        format!("the latest of each thing; {} or {} |", figure(state.count), kib(state.bytes)),
        format!("`{}`", SUBPROTOCOLS.join("`, `")),
    ] {
        assert!(SIGNALING.contains(&text), "signaling.md does not say: {text}");
    }
}

#[test]
fn the_settings_exist_and_all_are_named() {
    let section = SIGNALING.split("## Settings").nth(1).unwrap();
    let settings = settings();
    for setting in &settings {
        assert!(section.contains(&format!("`{setting}`")), "signaling.md does not name {setting}");
    }
    let named = section.lines().nth(1).unwrap().split('`').skip(1).step_by(2);
    for name in named.filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) {
        assert!(settings.iter().any(|setting| setting == name), "there is no setting {name}");
    }
}

/// The names of all settings: those that the unknown-field error of serde lists.
fn settings() -> Vec<String> {
    let unknown = serde_json::json!({"no_such_setting": 1});
    let error = serde_json::from_value::<Config>(unknown).unwrap_err().to_string();
    let names = error.split('`').skip(3).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
fn the_metrics_exist_and_all_are_named() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    // A family shows up with its first value.
    metrics.dropped("full", 1);
    metrics.refused("rate");
    metrics.chat_writes("x");
    metrics.closed("gone");
    metrics.report("ok");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let own = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let own: Vec<String> = own
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect();
    assert!(own.len() > 8, "{text}");
    for name in &own {
        assert!(
            SIGNALING.contains(&format!("`{name}`")) || SIGNALING.contains(&format!("`{name}{{reason}}`")),
            "{name}"
        );
    }
    for name in SIGNALING.split('`').filter(|word| word.starts_with("signaling_") && !word.contains(':')) {
        let name = name.trim_end_matches("{reason}");
        assert!(own.iter().any(|own| own == name), "there is no metric {name}");
    }
}

#[test]
fn the_destinations_exist() {
    let rows = SIGNALING.lines().filter(|line| line.starts_with("| `/"));
    let mut parsed = 0;
    for row in rows {
        let first = row.split('|').nth(1).unwrap();
        for word in first.split('`').filter(|word| word.starts_with('/')) {
            let text = word
                .replace("{app,topic}", "app")
                .replace("{room}", "7")
                .replace("{key}", "k")
                .replace("{node}", "nod_1")
                .replace("{group}", "grp_1")
                .replace("/broadcast/{id}", "/broadcast/7")
                .replace("{id}", "par_1");
            assert!(text.parse::<Address>().is_ok(), "{word}");
            parsed += 1;
        }
    }
    assert!(parsed >= 18, "{parsed}");
}

#[test]
fn the_tests_of_limits_exist() {
    let files = [
        ("boards", include_str!("../tests/boards.rs")),
        ("hostile", include_str!("../../crates/board/tests/hostile.rs")),
        ("chat", include_str!("../tests/chat.rs")),
        ("limits", include_str!("../tests/limits.rs")),
        ("meta", include_str!("../tests/meta.rs")),
        ("commands", include_str!("../tests/commands.rs")),
        ("websocket", include_str!("../tests/websocket.rs")),
    ];
    let section = LIMITS.split("## Signaling").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut found = 0;
    for (file, name) in section.split('`').filter_map(|word| word.split_once("::")) {
        let source = files.iter().find(|(own, _)| *own == file).map(|(_, source)| *source);
        assert!(source.is_some_and(|source| source.contains(&format!("fn {name}("))), "{file}::{name}");
        found += 1;
    }
    assert!(found >= 9, "{found}");
}
