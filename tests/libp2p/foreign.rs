//! A peer of another implementation, js-libp2p, written from `docs/wire.md`: it dials a node, pings it, reads identify, opens a
//! stream by name, and takes part in a topic.

use std::path::Path;
use std::process::{Command, Stdio};

use connectome::transport::libp2p::{Admission, IDLE_DEFAULT, TopicError};
use serde_json::Value;

use super::support::{open, soon, until};

const TOPIC: &str = "news";
const PROTOCOL: &str = "/echo/1";

/// Everything that the document promises to a foreign peer is there for one; what it says is heard with it as the author.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node 20 and npm: `cargo test another_implementation -- --ignored`"]
async fn another_implementation_takes_part() {
    let home = tokio::task::spawn_blocking(environment).await.unwrap();
    let node = open("ada", Vec::new(), Admission::default()).await;
    let mut streams = node.register(PROTOCOL, IDLE_DEFAULT).unwrap();
    let mut heard = node.listen(TOPIC).await.unwrap();
    let address = node.addresses().remove(0);
    let peer = tokio::task::spawn_blocking(move || {
        let script = ["--import", "./before.mjs", "peer.mjs", &address, TOPIC, PROTOCOL];
        Command::new("node").args(script).current_dir(home).stderr(Stdio::inherit()).output().unwrap()
    });

    let mut stream = soon(streams.next()).await.unwrap();
    let mut space = [0; 64];
    let length = soon(stream.read(&mut space)).await.unwrap();
    stream.write(&space[..length]).await.unwrap();
    stream.finish().await.unwrap();
    let said = soon(heard.next()).await.unwrap();
    assert_eq!(&said.message[..], b"said elsewhere");
    until(async || match node.publish(TOPIC, "said here".into()).await {
        Ok(()) => true,
        Err(TopicError::NobodyListens { .. }) => false,
        Err(other) => panic!("{other}"),
    })
    .await;

    let ran = soon(peer).await.unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{text}");
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let part = |name: &str| told.iter().find_map(|line| line.get(name)).cloned().unwrap_or(Value::Null);
    assert!(node.addresses()[0].ends_with(part("dialled").as_str().unwrap()));
    assert_eq!(part("ping"), true);
    assert_eq!(part("echo"), "from elsewhere");
    assert_eq!(part("heard"), "said here");
    assert_eq!(part("author"), part("dialled"));
    assert!(part("agent").as_str().unwrap().starts_with("connectome/"), "{text}");
    let protocols = part("protocols");
    for protocol in ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/connectome/link/1", "/meshsub/1.1.0", PROTOCOL] {
        assert!(protocols.as_array().unwrap().contains(&protocol.into()), "{protocol} of {protocols}");
    }
    assert_eq!(part("done"), true);
}

/// Where the peer runs; its packages are installed once.
fn environment() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("libp2p/foreign/environment");
    let made = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success(), "the peer has nowhere to run");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
