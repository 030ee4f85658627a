//! Clients without transport-wide feedback: whoever only reports, or says nothing, is not starved by its own silence.

mod common;
mod network;

use common::{ms, only};
use network::*;

const ALL: [Says; 4] = [Says::Remb, Says::ModestRemb, Says::Reports, Says::Nothing];

/// A viewer of the lowest encoding, of about 170 kbit/s, with sound beside it or not.
fn watching(line: Line, says: Says, sound: bool) -> (Scene, usize) {
    let mut scene = Scene::new();
    let viewer = scene.join(line, says);
    if sound {
        scene.add_sound();
    }
    let subscription = scene.clients[viewer].subscription;
    scene.world.shard.set_wanted(subscription, only("q"), scene.world.now);
    scene.until(viewer, LOW, 5_000);
    (scene, viewer)
}

#[test]
fn a_picture_that_fits_goes_on_whatever_the_client_says() {
    for says in ALL {
        for sound in [false, true] {
            let (mut scene, viewer) = watching(Line::new(5_000_000, 25), says, sound);
            let from = scene.clock();
            scene.run(20_000);
            let freeze = scene.freeze(viewer, from, scene.clock());
            assert!(freeze <= 150, "{says:?}, sound {sound}: a freeze of {freeze} ms");
        }
    }
}

#[test]
fn jitter_does_not_take_the_picture_away() {
    for says in ALL {
        let mut line = Line::new(5_000_000, 25);
        (line.jitter, line.loss) = (ms(30), 1);
        let (mut scene, viewer) = watching(line, says, true);
        let from = scene.clock();
        scene.run(30_000);
        let freeze = scene.freeze(viewer, from, scene.clock());
        assert!(freeze <= 500, "{says:?}: a freeze of {freeze} ms");
    }
}

#[test]
fn a_picture_that_did_not_fit_comes_back_when_it_does() {
    for says in ALL {
        for sound in [false, true] {
            let (mut scene, viewer) = watching(Line::new(5_000_000, 25), says, sound);
            scene.run(5_000);
            scene.clients[viewer].line.rate = 100_000;
            scene.run(8_000);
            scene.clients[viewer].line.rate = 5_000_000;
            scene.run(15_000);
            let from = scene.clock();
            scene.run(5_000);
            let freeze = scene.freeze(viewer, from, scene.clock());
            assert!(freeze <= 150, "{says:?}, sound {sound}: a freeze of {freeze} ms");
        }
    }
}

#[test]
fn a_client_that_says_little_gets_the_best_picture_of_a_good_line() {
    for says in ALL {
        let mut scene = Scene::new();
        let viewer = scene.join(Line::new(5_000_000, 25), says);
        scene.add_sound();
        scene.until(viewer, TOP, 5_000);
        let from = scene.clock();
        scene.run(20_000);
        let (freeze, share) =
            (scene.freeze(viewer, from, scene.clock()), scene.share(viewer, TOP, from, scene.clock()));
        assert!(freeze <= 300 && share >= 95, "{says:?}: freeze {freeze} ms, top {share} %");
    }
}
