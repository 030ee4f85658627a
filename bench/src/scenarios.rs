//! What is measured, in the order of the table.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::camera::Pattern;
use crate::results::Results;
use crate::room::{FEEDBACK, Room, World};
use crate::{cpu, janus};

/// After a change, until what is measured is only the new.
const SETTLE: Duration = Duration::from_millis(500);
/// Viewers whose memory and set-up are measured.
const MEMORY_VIEWERS: usize = 1_000;
/// Forward delay that a viewer may see.
const MAX_P99: Duration = Duration::from_millis(20);

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) window: Duration,
    /// Viewers of the scale scenario.
    pub(crate) scale: usize,
}

/// A process that sends the bare minimum.
pub(crate) struct Bare {
    child: Child,
    group: usize,
}

impl Bare {
    pub(crate) fn start(world: &mut World, receivers: usize) -> anyhow::Result<Self> {
        let group = world.group();
        let ports: Vec<String> = (0..receivers)
            .map(|_| Ok(world.viewers.count(group)?.to_string()))
            .collect::<anyhow::Result<_>>()?;
        let mut command = Command::new(std::env::current_exe()?);
        let child = command.arg("limit").args(ports).stdin(Stdio::piped()).spawn()?;
        Ok(Self { child, group })
    }

    fn play(&mut self, pattern: Option<Pattern>) -> anyhow::Result<()> {
        let line = pattern.map_or("\n".to_owned(), Pattern::to_line);
        if let Some(input) = &mut self.child.stdin {
            input.write_all(line.as_bytes())?;
            input.flush()?;
        }
        Ok(())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU per packet: the bare limit and the SFU in turn.
pub(crate) async fn forwarding(
    world: &mut World,
    effort: Effort,
    results: &mut Results,
) -> anyhow::Result<()> {
    let sizes = [10, 100, 300];
    let mut bare = Vec::new();
    let mut rooms = Vec::new();
    for size in sizes {
        bare.push(Bare::start(world, size)?);
        let mut room = world.room(1).await?;
        world.join(&mut room, size).await?;
        rooms.push(room);
    }
    // Others than those who never say anything: a viewer whose feedback stops is on a line that carries nothing.
    let mut talking = world.room(1).await?;
    world.join(&mut talking, 100).await?;
    let peer = match janus::room(world, 100).await {
        Ok(Some(peer)) => Some(peer),
        Ok(None) => {
            println!("Janus: not run, it is not installed (apt-get install janus)");
            None
        }
        Err(error) => {
            println!("Janus: not run, {error:#}");
            None
        }
    };
    for round in 0..effort.rounds {
        if let Some((janus, group)) = &peer {
            janus.play(Some(Pattern::EVEN));
            tokio::time::sleep(SETTLE).await;
            let window = world.window(janus.pid(), *group, effort.window).await?;
            janus.play(None);
            tokio::time::sleep(SETTLE / 5).await;
            results.add("janus_us_per_packet_n100", window.us_per_packet);
        }
        for (index, size) in sizes.into_iter().enumerate() {
            let (Some(bare), Some(room)) = (bare.get_mut(index), rooms.get(index)) else { continue };
            let limit = limit_window(world, bare, Pattern::EVEN, effort).await?;
            results.add(&format!("limit_us_per_packet_n{size}"), limit);
            let sfu = sfu_window(world, room, Pattern::EVEN, None, effort, results).await?;
            results.add(&format!("sfu_us_per_packet_n{size}"), sfu);
            results.add(&format!("sfu_to_limit_n{size}"), sfu / limit);
            if size != 100 {
                continue;
            }
            let all = sfu_window(world, &talking, Pattern::EVEN, Some(FEEDBACK), effort, results).await?;
            results.add("sfu_all_us_per_packet_n100", all);
            results.add("sfu_all_to_limit_n100", all / limit);
            let frames = limit_window(world, bare, Pattern::FRAMES, effort).await?;
            results.add("limit_us_per_packet_frames_n100", frames);
            let sfu = sfu_window(world, room, Pattern::FRAMES, None, effort, results).await?;
            results.add("sfu_us_per_packet_frames_n100", sfu);
            results.add("sfu_frames_to_limit_n100", sfu / limit);
            let all = sfu_window(world, &talking, Pattern::FRAMES, Some(FEEDBACK), effort, results).await?;
            results.add("sfu_all_us_per_packet_frames_n100", all);
            let uneven = sfu_window(world, room, Pattern::UNEVEN, None, effort, results).await?;
            results.add("sfu_us_per_packet_uneven_frames_n100", uneven);
        }
        println!("round {} of {} done", round + 1, effort.rounds);
    }
    Ok(())
}

pub(crate) async fn limit_window(
    world: &World,
    bare: &mut Bare,
    pattern: Pattern,
    effort: Effort,
) -> anyhow::Result<f64> {
    bare.play(Some(pattern))?;
    tokio::time::sleep(SETTLE).await;
    let window = world.window(bare.child.id(), bare.group, effort.window).await?;
    bare.play(None)?;
    tokio::time::sleep(SETTLE / 5).await;
    Ok(window.us_per_packet)
}

pub(crate) async fn sfu_window(
    world: &World,
    room: &Room,
    pattern: Pattern,
    feedback: Option<Duration>,
    effort: Effort,
    results: &mut Results,
) -> anyhow::Result<f64> {
    world.viewers.feedback(room.group, feedback)?;
    world.play(room, pattern).await?;
    tokio::time::sleep(SETTLE).await;
    let allocations = world.allocations(room).await?;
    let window = world.window(room.server.pid(), room.group, effort.window).await?;
    let allocations = world.allocations(room).await? - allocations;
    // The control plane is told of the tracks once a second, which allocates; a packet must not.
    results.add("sfu_allocations_per_packet", allocations as f64 / window.packets as f64);
    world.pause(room);
    world.viewers.feedback(room.group, None)?;
    tokio::time::sleep(SETTLE / 5).await;
    results.add("sfu_lost_packets", window.lost as f64);
    Ok(window.us_per_packet)
}

/// Memory per viewer, and CPU per session that is set up.
pub(crate) async fn memory(world: &mut World, results: &mut Results) -> anyhow::Result<()> {
    let cost = session_cost(world, &std::env::current_exe()?).await?;
    results.add("transport_setup_ms", cost.transport_ms);
    results.add("session_setup_ms", cost.session_ms);
    results.add("sfu_rss_kb_per_viewer_connected", cost.connected_kb);
    results.add("sfu_rss_kb_per_viewer", cost.media_kb);
    results.add("sfu_rss_kb_per_viewer_all", cost.all_kb);
    Ok(())
}

/// What a viewer costs beside its packets.
pub(crate) struct SessionCost {
    /// CPU of the media thread to set it up, and of the whole process.
    transport_ms: f64,
    session_ms: f64,
    /// Resident memory: connected, with media, with feedback and history.
    connected_kb: f64,
    pub(crate) media_kb: f64,
    pub(crate) all_kb: f64,
}

/// What a viewer costs the server of `program`, on the average of a thousand.
pub(crate) async fn session_cost(world: &mut World, program: &Path) -> anyhow::Result<SessionCost> {
    let mut room = world.room_of(program, 1).await?;
    // The first viewers pay for what is allocated once.
    world.join(&mut room, 20).await?;
    world.play(&room, Pattern::EVEN).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.pause(&room);
    // Until what came before is too old for anybody to start with: who did would remember hundreds of packets.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let pid = room.server.pid();
    let per_viewer = |now: u64, before: u64| (now as f64 - before as f64) / MEMORY_VIEWERS as f64;
    let empty = cpu::resident(pid)?;
    let (all, shards) = (cpu::time(pid)?, cpu::time_of_threads(pid, "sfu-shard")?);
    world.join(&mut room, MEMORY_VIEWERS).await?;
    let per_session = |used: Duration| used.as_secs_f64() * 1e3 / MEMORY_VIEWERS as f64;
    let transport_ms = per_session(cpu::time_of_threads(pid, "sfu-shard")?.saturating_sub(shards));
    let session_ms = per_session(cpu::time(pid)?.saturating_sub(all));
    let connected_kb = per_viewer(cpu::resident(pid)?, empty);
    world.play(&room, Pattern::SLOW).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let media_kb = per_viewer(cpu::resident(pid)?, empty);
    world.viewers.feedback(room.group, Some(FEEDBACK * 2))?;
    // Enough packets to fill what is remembered of those that were sent.
    world.play(&room, Pattern { frames: 60, ..Pattern::SLOW }).await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let all_kb = per_viewer(cpu::resident(pid)?, empty);
    world.viewers.leave(room.group)?;
    Ok(SessionCost { transport_ms, session_ms, connected_kb, media_kb, all_kb })
}

/// The most viewers at 1 Mbit/s without loss and with a small delay, with everything on this machine.
pub(crate) async fn capacity(world: &mut World, effort: Effort, results: &mut Results) -> anyhow::Result<()> {
    let mut room = world.room(2).await?;
    world.viewers.feedback(room.group, Some(FEEDBACK))?;
    let (mut size, mut best) = (0, 0);
    let mut wanted = 200;
    let mut second_try = false;
    while size < 10_000 {
        if !second_try {
            world.join(&mut room, wanted - size).await?;
            size = room.size;
        }
        world.play(&room, Pattern::MEGABIT).await?;
        tokio::time::sleep(SETTLE * 2).await;
        world.stats(&room)?;
        let window = world.window(room.server.pid(), room.group, effort.window).await?;
        let expected =
            f64::from(Pattern::MEGABIT.packets_per_second()) * size as f64 * effort.window.as_secs_f64();
        // The publisher shares the machine: when it does not keep its pace, the machine is full as well.
        let kept_pace = window.packets as f64 > expected * 0.95;
        let good = window.lost == 0 && window.p99 < MAX_P99 && kept_pace;
        println!(
            "{size} viewers at 1 Mbit/s: {} lost, p99 {:.1} ms, {:.2} us a packet, {:.0} % of the pace",
            window.lost,
            window.p99.as_secs_f64() * 1e3,
            window.us_per_packet,
            window.packets as f64 / expected * 100.0
        );
        if good {
            best = size;
            wanted = size + size / 4;
            results.add("sfu_us_per_packet_1mbit", window.us_per_packet);
        } else if second_try {
            break;
        }
        // One bad moment of the machine is not its limit.
        second_try = !good;
    }
    results.add("sfu_viewers_at_1mbit", best as f64);
    if let Some(us) = results.median("sfu_us_per_packet_1mbit") {
        let per_core = 1e6 / (us * f64::from(Pattern::MEGABIT.packets_per_second()));
        results.add("sfu_viewers_at_1mbit_per_core", per_core);
    }
    world.viewers.leave(room.group)?;
    Ok(())
}

/// Thousands of sessions of one broadcast, each at ten packets a second.
pub(crate) async fn scale(world: &mut World, effort: Effort, results: &mut Results) -> anyhow::Result<()> {
    let mut room = world.room(2).await?;
    let pid = room.server.pid();
    world.join(&mut room, 20).await?;
    world.play(&room, Pattern::SLOW).await?;
    let empty = cpu::resident(pid)?;
    let start = Instant::now();
    world.join(&mut room, effort.scale).await?;
    let joined = start.elapsed();
    println!("{} viewers joined in {:.1} s", room.size, joined.as_secs_f64());
    world.viewers.feedback(room.group, Some(FEEDBACK * 5))?;
    world.play(&room, Pattern::SLOW).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.stats(&room)?;
    let window = world.window(pid, room.group, effort.window * 2).await?;
    let stats = world.stats(&room)?;
    results.add("scale_viewers", stats.connected as f64);
    results.add("scale_joins_per_second", effort.scale as f64 / joined.as_secs_f64());
    let resident = cpu::resident(pid)?;
    results.add("scale_rss_mb", resident as f64 / 1024.0);
    results.add("scale_rss_kb_per_viewer", (resident as f64 - empty as f64) / effort.scale as f64);
    results.add("scale_us_per_packet", window.us_per_packet);
    results.add("scale_lost_packets", window.lost as f64);
    results.add("scale_p99_ms", window.p99.as_secs_f64() * 1e3);
    world.viewers.leave(room.group)?;
    Ok(())
}
