//! Looking into a store: streams, tasks, events, agents.

use std::process::Stdio;

use super::furnished::directory;
use super::support::{column, command, run};

/// The streams of a store are listed and shown, with their consumers and their messages.
#[test]
fn streams_are_listed_and_shown() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let streams = run(&["stream", "ls", "--store", path, "--json"]).json();
    let names = ["AGENT_DISCOVERY", "AGENT_MESSAGES", "DEAD_LETTERS", "SYSTEM_EVENTS", "TASK_ROUTING"];
    assert_eq!(column(&streams, "name"), names);
    let listed = run(&["stream", "ls", "--store", path]).good();
    assert!(listed.lines().next().unwrap().starts_with("NAME"), "{listed}");

    let shown = run(&["stream", "show", "AGENT_MESSAGES", "--store", path, "--json"]).json();
    assert_eq!(
        (&shown["stream"]["retention"], &shown["stream"]["messages"]),
        (&"work queue".into(), &1.into())
    );
    let waiting = &shown["messages"][0]["body"]["envelope"];
    // For whom it is stands outside; what it is, and what it says, is sealed to its agent.
    assert_eq!((&waiting["name"], &waiting["to"]), (&serde_json::Value::Null, &"nobody-yet".into()));
    assert_eq!(waiting["content_type"], "application/vnd.connectome.cxr1");
    let shown = run(&["stream", "show", "AGENT_MESSAGES", "--store", path]).good();
    assert!(shown.contains("to nobody-yet") && !shown.contains("are you there"), "{shown}");
}

/// A stream that is not there is told with those that are.
#[test]
fn a_missing_stream_is_told_with_those_that_are() {
    let data = directory();
    let error = run(&["stream", "show", "EVENTS", "--store", data.path().to_str().unwrap()]).bad(1);
    assert!(error.contains("\"EVENTS\"") && error.contains("SYSTEM_EVENTS"), "{error}");
}

/// Tasks are listed by state, and shown with their input, their result or error, and their history.
#[test]
fn tasks_are_listed_and_shown() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let all = run(&["task", "ls", "--store", path, "--json"]).json();
    assert_eq!(column(&all, "state"), ["completed", "failed"]);
    let failed = run(&["task", "ls", "--state", "FAILED", "--store", path, "--json"]).json();
    let id = failed[0]["id"].as_str().unwrap();
    let shown = run(&["task", "show", id, "--store", path, "--json"]).json();
    assert_eq!(shown["input"], serde_json::json!([1, 0]));
    assert!(shown["error"]["message"].as_str().unwrap().contains("divided by zero"), "{shown}");
    let shown = run(&["task", "show", id, "--store", path]).good();
    assert!(shown.contains("history") && shown.contains("failed"), "{shown}");

    let newest = run(&["task", "ls", "--max", "1", "--store", path]);
    assert!(newest.err.contains("there are more") && newest.out.contains("failed"), "{newest:?}");
}

/// Events are filtered by type, and read from any place on.
#[test]
fn events_are_filtered_and_read_on() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let wanted =
        ["event", "ls", "--type", "task_created", "--type", "TASK_COMPLETED", "--store", path, "--json"];
    let events = run(&wanted).json();
    let mut types = column(&events, "type");
    types.sort_by_key(|event_type| event_type.to_string());
    assert_eq!(types, ["TASK_COMPLETED", "TASK_CREATED", "TASK_CREATED"]);
    let second = events[1]["sequence"].to_string();
    let later = run(&[&wanted[..], &["--from", &second, "--max", "1"]].concat());
    assert!(later.err.contains("there are more"), "{later:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&later.out).unwrap()[0], events[1]);
    let plain = run(&["event", "ls", "--store", path]).good();
    assert!(plain.contains("SYSTEM_READY") && plain.contains("agent.name=clerk"), "{plain}");
}

/// Agents are listed with what was last said of them, and with the mail that waits.
#[test]
fn agents_are_listed_with_their_mail() {
    let data = directory();
    let agents = run(&["agents", "--store", data.path().to_str().unwrap(), "--json"]).json();
    assert_eq!(column(&agents, "name"), ["clerk", "nobody-yet"]);
    assert_eq!(
        (&agents[0]["role"], &agents[0]["capabilities"]),
        (&"office".into(), &serde_json::json!(["divide"]))
    );
    assert_ne!(agents[0]["state"], "registered", "its node has said goodbye");
    assert_eq!((&agents[1]["state"], &agents[1]["mail"]), (&"never registered".into(), &1.into()));
}

/// A path without a store is left as it is.
#[test]
fn no_store_is_made_by_looking() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    for looking in [&["stream", "ls"][..], &["task", "ls"], &["event", "ls"], &["dead", "ls"], &["agents"]] {
        let error = run(&[looking, &["--store", path]].concat()).bad(1);
        assert!(error.contains("there is no store") && error.contains(path), "{error}");
        let error = run(&[looking, &["--set", &format!("data_dir={path}")]].concat()).bad(1);
        assert!(error.contains("there is no store"), "{error}");
        let error = run(&[looking, &["--set", "storage=memory"]].concat()).bad(1);
        assert!(error.contains("in memory"), "{error}");
    }
    assert_eq!(empty.path().read_dir().unwrap().count(), 0);
}

/// Whoever reads the output may stop reading; a full disk is a failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    for looking in [
        &["--help"][..],
        &["config"],
        &["event", "ls", "--store", path],
        &["event", "ls", "--json", "--store", path],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(looking)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{looking:?}");
    }
    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let output = command(&["config"])
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("could not be written"));
    }
}
