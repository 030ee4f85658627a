use super::*;

const META: &str = "server.meta_url=http://127.0.0.1:1";

fn with(assignments: &[&str]) -> Result<Scenario, ScenarioError> {
    let assignments: Vec<String> = assignments.iter().map(|text| (*text).to_owned()).collect();
    Scenario::parse("", &assignments)
}

/// What is said about a scenario that is refused.
fn refused(assignments: &[&str]) -> String {
    with(assignments).expect_err("it is refused").to_string()
}

#[test]
fn the_scenarios_of_the_binary_are_valid() {
    for (name, text) in BUILT_IN {
        let scenario = Scenario::parse(text, &[META.to_owned()]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(scenario.name, name);
        assert!(!scenario.description.is_empty());
        assert_eq!(scenario.seats().is_empty(), scenario.call.is_some());
    }
}

#[test]
fn unknown_keys_are_refused_by_name() {
    assert!(refused(&[META, "view.vewers=3"]).contains("vewers"));
    assert!(refused(&[META, "speed=3"]).contains("speed"));
    assert!(Scenario::parse("[view\n", &[]).is_err());
}

#[test]
fn assignments_reach_every_level_and_type() {
    let scenario = with(&[
        META,
        "view.viewers = 7",
        "publish.simulcast=[\"q\",\"h\"]",
        "view.decrypt=all",
        "name=mine",
        "engine=light",
        "publish.audio=false",
    ])
    .unwrap();
    assert_eq!(scenario.view.viewers, 7);
    assert_eq!(scenario.publish.simulcast, ["q", "h"]);
    assert_eq!(scenario.view.decrypt, Decrypt::All);
    assert_eq!(scenario.name, "mine");
    assert!(!scenario.publish.audio);
    assert_eq!(scenario.server.meta_url.as_deref(), Some("http://127.0.0.1:1"));
    assert!(refused(&["view.viewers"]).contains("key=value"));
    assert!(refused(&["=3"]).contains("key=value"));
    assert!(refused(&["name=x", "name.y=3"]).contains("not a table"));
}

#[test]
fn values_out_of_range_are_named() {
    for (assignment, key) in [
        ("run.duration_s=0", "run.duration_s"),
        ("run.duration_s=1e9", "run.duration_s"),
        ("run.threads=0", "run.threads"),
        ("publish.packet_bytes=2000", "publish.packet_bytes"),
        ("publish.keyframe_factor=0.5", "publish.keyframe_factor"),
        ("publish.simulcast=[\"a\",\"b\",\"c\",\"d\"]", "publish.simulcast"),
        ("publish.simulcast=[\"a\",\"a\"]", "publish.simulcast"),
        ("publish.simulcast=[\"a b\"]", "publish.simulcast"),
        ("view.join_rate=0", "view.join_rate"),
        ("view.nack_share=1.5", "view.nack_share"),
        ("view.viewers=100000", "view.viewers"),
        ("loss.down=-0.1", "loss.down"),
        ("loss.up=nan", "loss.up"),
        ("churn.per_second=0", "churn.per_second"),
        ("ramp.start=0", "ramp.start"),
        ("mesh.callers=1", "mesh.callers"),
        ("call.callers=0", "call.callers"),
        ("call.group=abc", "call.group"),
        ("call.tiles=24", "call.tiles"),
        ("call.voices=13", "call.voices"),
        ("call.turn_s=0.1", "call.turn_s"),
        ("call.hostile=10", "call.hostile"),
    ] {
        let message = refused(&[META, assignment]);
        assert!(message.starts_with(key), "{assignment}: {message}");
    }
    assert!(refused(&[META, "view.decrypt=0"]).contains("\"all\""));
    assert!(refused(&[META, "view.decrypt=some"]).contains("\"all\""));
    assert!(refused(&[META, "ramp.start=5", "mesh.callers=5"]).contains("only one"));
    assert!(refused(&[META, "mesh.callers=5", "call.callers=5"]).contains("only one"));
    assert!(refused(&[META, "call.callers=5", "publish.audio=false"]).starts_with("publish.video"));
    assert!(refused(&[META, "engine=webrtc", "call.callers=5"]).starts_with("engine"));
    assert!(refused(&[META, "engine=webrtc", "view.viewers=51"]).starts_with("view.viewers"));
}

#[test]
fn the_server_is_named_in_one_way() {
    assert!(refused(&[]).starts_with("server"));
    assert!(refused(&[META, "server.whip_url=http://x/a"]).starts_with("server"));
    assert!(refused(&["server.whip_url=http://x/a"]).starts_with("server"));
    assert!(refused(&["server.meta_url=x"]).starts_with("server"));
    assert!(refused(&[META, "server.rooms_url=x"]).starts_with("server"));
    assert!(refused(&[META, "server.signaling_url=http://x"]).starts_with("server.signaling_url"));
    let urls = ["server.whip_url=http://x/a", "server.whep_url=http://x/b"];
    with(&urls).unwrap();
    assert!(refused(&[urls[0], urls[1], "publish.broadcasts=2"]).contains("{n}"));
    with(&["server.whip_url=http://x/{n}", "server.whep_url=http://x/{n}", "publish.broadcasts=2"]).unwrap();
}

#[test]
fn seats_are_spread_over_broadcasts_and_everybody_watches_everybody_else() {
    let spread = with(&[META, "view.viewers=5", "publish.broadcasts=2"]).unwrap();
    assert_eq!(spread.seats(), [0, 1, 0, 1, 0]);
    let call = with(&[META, "mesh.callers=3"]).unwrap();
    assert_eq!(call.broadcasts(), 3);
    assert_eq!(call.seats(), [1, 2, 0, 2, 0, 1]);
    let ramp = with(&[META, "ramp.start=1", "ramp.max=4"]).unwrap();
    assert_eq!(ramp.seats().len(), 4);
}
