//! An update of a whiteboard from a client, once or twice: what is refused changes nothing, and what is taken can be
//! stored, read again and made small. The first byte says where the second begins.
#![no_main]

use board::{Author, Board};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&at, updates)) = data.split_first() else { return };
    let mut board = Board::new(1);
    let author = Author("par_fuzz".into());
    let id = board.admit(author.clone()).expect("the first");
    let (one, two) = updates.split_at(usize::from(at).min(updates.len()));
    for update in [one, two] {
        let before = board.whole();
        if board.apply(&author, id, update).is_err() {
            assert_eq!(board.whole(), before);
        }
    }
    let whole = board.whole();
    let again = Board::restored(1, [whole.as_slice()], []).expect("its own");
    assert_eq!((again.entries("objects"), again.has(id)), (board.entries("objects"), board.has(id)));
    assert_eq!(board.compacted().entries("objects"), board.entries("objects"));
});
