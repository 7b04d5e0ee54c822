//! `connectome dead`: what was given up is shown, sent again, dropped.

use connectome::prelude::*;
use serde_json::Value;

use super::furnished::{Clerk, Divide, Heard, configured, directory, in_a_runtime};
use super::support::{column, run};

/// Dead letters are listed and shown with cause, payload and history, and no escape reaches the terminal.
#[test]
fn letters_are_listed_and_shown() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let letters = run(&["dead", "ls", "--store", path, "--json"]).json();
    assert_eq!(column(&letters, "kind"), ["message", "task"]);
    assert_eq!((&letters[0]["to"], &letters[0]["attempts"]), (&"clerk".into(), &3.into()));
    let listed = run(&["dead", "ls", "--store", path]).good();
    assert!(listed.contains("I can't bear \\u{1b}[31mpoison"), "{listed}");

    let message = run(&["dead", "show", "1", "--store", path, "--json"]).json();
    assert_eq!(message["letter"]["envelope"]["body"], "poison");
    let task = run(&["dead", "show", "2", "--store", path, "--json"]).json();
    assert_eq!(task["letter"]["envelope"]["body"]["input"], serde_json::json!([1, 0]));
    assert_eq!(task["letter"]["task"]["state"], "failed");
    let shown = run(&["dead", "show", "2", "--store", path]).good();
    assert!(shown.contains("history") && shown.contains("nothing is divided by zero"), "{shown}");
}

/// What is sent again is a new message and a new task: a node that can bear them handles both.
#[test]
fn what_is_sent_again_is_handled() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let said = run(&["dead", "replay", "1", "--store", path]).good();
    assert!(said.contains("sent again as message") && said.contains("is removed"), "{said}");
    let task = run(&["dead", "replay", "2", "--store", path, "--json"]).json();
    let id: TaskId = task["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(run(&["dead", "ls", "--store", path, "--json"]).json(), Value::Array(vec![]));
    let shown = run(&["task", "show", &id.to_string(), "--store", path, "--json"]).json();
    assert_eq!(shown["state"], "submitted");

    in_a_runtime(async {
        let node = Node::start(configured(data.path())).await.unwrap();
        let clerk =
            node.spawn_with(AgentSpec::new("clerk", Clerk::sturdy).capability("divide")).await.unwrap();
        assert_eq!(node.task::<Divide>(id).result().await.unwrap(), u64::MAX);
        while clerk.call(Heard).await.unwrap() != ["poison"] {
            tokio::task::yield_now().await;
        }
        node.stop().await;
    });
}

/// A letter that is sent again with `--keep` stays; one that is dropped is gone; one that is not there is told.
#[test]
fn letters_are_kept_or_dropped() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let kept = run(&["dead", "replay", "1", "--keep", "--store", path, "--json"]).json();
    assert_eq!((&kept["kept"], &kept["kind"]), (&true.into(), &"message".into()));
    run(&["dead", "drop", "1", "--store", path]).good();
    for action in ["show", "replay", "drop"] {
        let error = run(&["dead", action, "1", "--store", path]).bad(1);
        assert!(error.contains("there is no dead letter 1") && error.contains("dead ls"), "{error}");
    }
    assert_eq!(column(&run(&["dead", "ls", "--store", path, "--json"]).json(), "sequence"), [2]);
}

/// Without the root key the letters are listed by their codes, nothing of what they say is shown, and nothing is sent again;
/// what is missing is said. With another one that is said.
#[test]
fn letters_are_for_whoever_has_the_key() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let key = data.path().join("root.key");
    let ours = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let sealed = |remedy: &str| {
        let letters = run(&["dead", "ls", "--store", path, "--json"]).json();
        assert_eq!(column(&letters, "code"), ["crashed", "handler"]);
        assert!(letters[1]["cause"].as_str().unwrap().contains("its words are sealed"), "{letters}");
        for sequence in ["1", "2"] {
            let shown = run(&["dead", "show", sequence, "--store", path]).good();
            assert!(
                shown.contains(remedy) && !shown.contains("poison") && !shown.contains("zero"),
                "{shown}"
            );
            let error = run(&["dead", "replay", sequence, "--store", path]).bad(1);
            assert!(error.contains(remedy), "{error}");
        }
        let tasks = run(&["task", "ls", "--store", path, "--json"]).json();
        let shown =
            run(&["task", "show", tasks[1]["id"].as_str().unwrap(), "--store", path, "--json"]).json();
        assert!(shown["sealed"].as_str().unwrap().contains(remedy), "{shown}");
    };
    sealed("CONNECTOME_KEY_FILE");
    assert!(!key.exists(), "looking makes no key");
    let other = data.path().join("other.key");
    std::fs::write(&other, ours.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()).unwrap();
    private(&other);
    std::fs::rename(&other, &key).unwrap();
    sealed("give all nodes of this cluster the same root key");
}

#[cfg(unix)]
fn private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_: &std::path::Path) {}
