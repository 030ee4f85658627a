//! The answers that a person got, so that a command that comes again is answered the same and not done twice.

use std::collections::VecDeque;

use crate::command::Answer;
use crate::limits::MAX_REQUESTS;

/// The latest requests of one person, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Requests(VecDeque<Known>);

#[derive(Debug)]
struct Known {
    id: String,
    /// None while it is being stored.
    answer: Option<Answer>,
}

impl Requests {
    /// What became of a request: none if it is not known, else its answer, which is not there while it is being stored.
    pub(crate) fn find(&self, id: &str) -> Option<Option<&Answer>> {
        self.0.iter().find(|known| known.id == id).map(|known| known.answer.as_ref())
    }

    /// A request begins.
    pub(crate) fn begin(&mut self, id: &str) {
        if self.0.len() >= MAX_REQUESTS {
            self.0.pop_front();
        }
        self.0.push_back(Known { id: id.to_owned(), answer: None });
    }

    /// A request has its answer. What may be otherwise in a moment is forgotten, so that the same request can be tried
    /// again.
    pub(crate) fn end(&mut self, id: &str, answer: &Answer) {
        let passes = matches!(answer, Err(refused) if refused.passes());
        if passes {
            self.0.retain(|known| known.id != id);
        } else if let Some(known) = self.0.iter_mut().find(|known| known.id == id) {
            known.answer = Some(*answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Refused;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut requests = Requests::default();
        for i in 0..=MAX_REQUESTS {
            requests.begin(&i.to_string());
            requests.end(&i.to_string(), &Ok(()));
        }
        assert_eq!(requests.find("0"), None);
        assert_eq!(requests.find("1"), Some(Some(&Ok(()))));
        assert_eq!(requests.0.len(), MAX_REQUESTS);
    }

    #[test]
    fn what_passes_may_be_tried_again() {
        let mut requests = Requests::default();
        for (refused, is_kept) in [
            (Refused::NotAllowed, true),
            (Refused::TooFast { retry_ms: 1 }, false),
            (Refused::NotStored, false),
        ] {
            requests.begin("a");
            assert_eq!(requests.find("a"), Some(None));
            requests.end("a", &Err(refused));
            assert_eq!(requests.find("a").is_some(), is_kept, "{refused}");
            requests.0.clear();
        }
    }
}
