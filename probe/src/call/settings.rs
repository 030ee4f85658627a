//! `[call]` of a scenario: who takes part, what each sees and hears, and how they behave. Pure.

use contract::call::MAX_SLOTS;
use serde::Deserialize;

/// Most callers of one run.
pub const MAX_CALLERS: usize = 200;
/// Most joins after the first ones.
pub const MAX_REJOINS: usize = 1_000;
/// Most pages that everybody turns.
pub const MAX_TURNS: usize = 1_000;

/// Who speaks when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Talk {
    /// Everybody, all the time.
    All,
    /// So many at a time ([`Call::speakers`]), then the next ones.
    #[default]
    Turns,
    /// Nobody.
    None,
}

/// A call of Madang (docs/calls.md): everybody publishes, and receives through slots.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Call {
    /// How many take part.
    pub callers: usize,
    /// The id of a group that is there, and whose link is enough to join; without one a group is created.
    pub group: Option<String>,
    /// Pictures that each sees at a time, in as many slots.
    pub tiles: usize,
    /// Slots for voices.
    pub voices: usize,
    /// How high a picture is shown, in pixels: chooses the encoding. 0 is any.
    pub height: u16,
    /// Who speaks while everybody joins, and while it is measured who joins.
    pub talk_joining: Talk,
    /// Who speaks afterwards.
    pub talk: Talk,
    /// How many speak at a time where they take turns.
    pub speakers: usize,
    /// How long each turn is, its pause at the end included, in seconds.
    pub turn_s: f64,
    /// After everybody is in: so often one leaves and somebody new joins, one after the other.
    pub rejoins: usize,
    /// So often everybody turns to the next page of people, at once.
    pub page_turns: usize,
    /// Between two of these, in milliseconds.
    pub page_ms: u64,
    /// Everybody listens to the state of the room, over a WebSocket.
    pub signaling: bool,
    /// Of the callers, so many forge, flood and repeat; what they see is not judged.
    pub hostile: usize,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            callers: 10,
            group: None,
            tiles: 12,
            voices: 4,
            height: 180,
            talk_joining: Talk::All,
            talk: Talk::Turns,
            speakers: 2,
            turn_s: 2.0,
            rejoins: 20,
            page_turns: 5,
            page_ms: 1_000,
            signaling: true,
            hostile: 0,
        }
    }
}

impl Call {
    /// The key that is out of its range, and what is wrong with it.
    pub(crate) fn validate(&self) -> Result<(), (&'static str, String)> {
        let within = |key, number: usize, least: usize, most: usize| {
            let message = || format!("{number} is not in {least} to {most}");
            (least..=most).contains(&number).then_some(()).ok_or_else(|| (key, message()))
        };
        within("call.callers", self.callers, 1, MAX_CALLERS)?;
        within("call.tiles", self.tiles, 1, MAX_SLOTS - 1)?;
        within("call.voices", self.voices, 0, MAX_SLOTS - self.tiles)?;
        within("call.speakers", self.speakers, 1, MAX_CALLERS)?;
        within("call.rejoins", self.rejoins, 0, MAX_REJOINS)?;
        within("call.page_turns", self.page_turns, 0, MAX_TURNS)?;
        within("call.page_ms", self.page_ms as usize, 1, 60_000)?;
        within("call.hostile", self.hostile, 0, self.callers - 1)?;
        if self.group.as_ref().is_some_and(|id| id.parse::<contract::id::GroupId>().is_err()) {
            return Err(("call.group", "no id of a group".into()));
        }
        if !(0.4..=60.0).contains(&self.turn_s) {
            return Err(("call.turn_s", format!("{} s is not in 0.4 s to 60 s", self.turn_s)));
        }
        Ok(())
    }
}
