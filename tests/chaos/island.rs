//! A network namespace with one way out, which can be cut without a word: nothing is closed, nothing is refused.
//!
//! It needs root and the command `ip`. Where either is missing, `Island::land` says why, and tests fall back.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rand::RngExt;

/// Removes a namespace and its link when the test process ends, however it ends.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
ip link del "$1" 2>/dev/null
ip netns del "$1" 2>/dev/null
"#;

/// Somewhere from where only this machine is reached, over one link.
pub(super) struct Island {
    /// Of the namespace, and of our end of the link.
    name: String,
    /// The second and third number of its addresses.
    net: (u8, u8),
    guard: Child,
}

impl Island {
    /// Makes one.
    pub(super) fn land() -> Result<Island, String> {
        let mut dice = rand::rng();
        let name = format!("cx{:08x}", dice.random::<u32>());
        let net = (dice.random_range(64..=250), dice.random());
        ip(&["netns", "add", &name])?;
        let mut guard = Command::new("sh");
        guard.args(["-c", SCRIPT, "guard", &name]).stdin(Stdio::piped());
        let guard = guard.spawn().map_err(|error| format!("there is no shell: {error}"))?;
        let island = Island { name, net, guard };
        island.bridge()?;
        Ok(island)
    }

    fn bridge(&self) -> Result<(), String> {
        let name = self.name.as_str();
        let (here, there) = (format!("{}/30", self.address(1)), format!("{}/30", self.address(2)));
        ip(&["link", "add", name, "type", "veth", "peer", "name", "out", "netns", name])?;
        ip(&["addr", "add", &here, "dev", name])?;
        ip(&["link", "set", name, "up"])?;
        ip(&["-n", name, "addr", "add", &there, "dev", "out"])?;
        ip(&["-n", name, "link", "set", "out", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])
    }

    fn address(&self, last: u8) -> String {
        format!("10.{}.{}.{last}", self.net.0, self.net.1)
    }

    /// A program that runs there.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Where a server of this machine is, seen from there.
    pub(super) fn url(&self, url: &str) -> String {
        url.replace("127.0.0.1", &self.address(1))
    }

    /// Takes the link down: what is sent vanishes.
    pub(super) fn cut(&self) {
        ip(&["link", "set", &self.name, "down"]).unwrap();
    }

    /// Takes it up again.
    pub(super) fn heal(&self) {
        ip(&["link", "set", &self.name, "up"]).unwrap();
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        if let Some(mut input) = self.guard.stdin.take() {
            // The end of its input is the sign.
            let _ = input.flush();
        }
        let _ = self.guard.wait();
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let done = Command::new("ip").args(words).output();
    let done = done.map_err(|error| format!("the command ip can't be run: {error}"))?;
    let said = || String::from_utf8_lossy(&done.stderr).trim().to_owned();
    if done.status.success() { Ok(()) } else { Err(format!("ip {}: {}", words.join(" "), said())) }
}
