//! Two builds in turn: what a change costs or saves. Each round measures both within seconds of each other, the one
//! first in one round and the other in the next, so that what the machine does beside hits both alike.

use std::path::Path;

use crate::camera::Pattern;
use crate::results::Results;
use crate::room::{FEEDBACK, Room, World};
use crate::scenarios::{Bare, Effort, limit_window, session_cost, sfu_window};

/// Memory is measured this often: a run takes half a minute.
const MEMORY_ROUNDS: usize = 3;

/// One way to forward.
struct Case {
    name: &'static str,
    pattern: Pattern,
    viewers: usize,
    /// Viewers report and give feedback.
    talking: bool,
}

const CASES: [Case; 6] = [
    Case { name: "n100", pattern: Pattern::EVEN, viewers: 100, talking: false },
    Case { name: "n300", pattern: Pattern::EVEN, viewers: 300, talking: false },
    Case { name: "frames_n100", pattern: Pattern::FRAMES, viewers: 100, talking: false },
    Case { name: "uneven_frames_n100", pattern: Pattern::UNEVEN, viewers: 100, talking: false },
    Case { name: "all_n100", pattern: Pattern::EVEN, viewers: 100, talking: true },
    Case { name: "all_frames_n100", pattern: Pattern::FRAMES, viewers: 100, talking: true },
];

/// The rooms of one build. Viewers that talk are others than those who never do.
struct Rooms {
    hundred: Room,
    three_hundred: Room,
    talking: Room,
}

impl Rooms {
    async fn open(world: &mut World, program: &Path) -> anyhow::Result<Self> {
        let (mut hundred, mut three_hundred) =
            (world.room_of(program, 1).await?, world.room_of(program, 1).await?);
        let mut talking = world.room_of(program, 1).await?;
        world.join(&mut hundred, 100).await?;
        world.join(&mut three_hundred, 300).await?;
        world.join(&mut talking, 100).await?;
        Ok(Self { hundred, three_hundred, talking })
    }

    fn of(&self, case: &Case) -> &Room {
        match (case.talking, case.viewers) {
            (true, _) => &self.talking,
            (false, 300) => &self.three_hundred,
            (false, _) => &self.hundred,
        }
    }
}

/// CPU per packet of both, and their ratio in each round.
pub(crate) async fn forwarding(
    world: &mut World,
    baseline: &Path,
    effort: Effort,
    results: &mut Results,
) -> anyhow::Result<()> {
    let this = std::env::current_exe()?;
    let rooms = [Rooms::open(world, baseline).await?, Rooms::open(world, &this).await?];
    let mut bare = [Bare::start(world, 100)?, Bare::start(world, 300)?];
    for round in 0..effort.rounds {
        for case in &CASES {
            let feedback = case.talking.then_some(FEEDBACK);
            let mut cost = [0.0; 2];
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for which in order {
                let Some(rooms) = rooms.get(which) else { continue };
                let us = sfu_window(world, rooms.of(case), case.pattern, feedback, effort, results).await?;
                if let Some(place) = cost.get_mut(which) {
                    *place = us;
                }
            }
            let [old, new] = cost;
            results.add(&format!("base_{}", case.name), old);
            results.add(&format!("this_{}", case.name), new);
            results.add(&format!("this_to_base_{}", case.name), new / old);
            if case.talking || case.pattern == Pattern::UNEVEN {
                continue;
            }
            let [hundred, three_hundred] = &mut bare;
            let bare = if case.viewers == 300 { three_hundred } else { hundred };
            let limit = limit_window(world, bare, case.pattern, effort).await?;
            results.add(&format!("limit_{}", case.name), limit);
            results.add(&format!("base_to_limit_{}", case.name), old / limit);
            results.add(&format!("this_to_limit_{}", case.name), new / limit);
        }
        println!("round {} of {} done", round + 1, effort.rounds);
    }
    Ok(())
}

/// Memory per viewer of both.
pub(crate) async fn memory(
    world: &mut World,
    baseline: &Path,
    effort: Effort,
    results: &mut Results,
) -> anyhow::Result<()> {
    let this = std::env::current_exe()?;
    for _ in 0..effort.rounds.min(MEMORY_ROUNDS) {
        for (name, program) in [("base", baseline), ("this", &this)] {
            let cost = session_cost(world, program).await?;
            results.add(&format!("{name}_rss_kb_per_viewer"), cost.media_kb);
            results.add(&format!("{name}_rss_kb_per_viewer_all"), cost.all_kb);
        }
    }
    Ok(())
}
