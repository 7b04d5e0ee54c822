//! Networks of one machine: namespaces, each with a network stack of its own, and links between them.
//!
//! It needs root and the command `ip`; NAT needs `nft` as well. Where one is missing, it says which.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rand::RngExt;

/// Removes the namespaces, and with them their links, when the test process ends, however it ends.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for space in "$@"; do ip netns del "$space" 2>/dev/null; done
"#;

/// Masquerades whoever goes out, and drops what nobody inside has asked for, as routers at home do.
const NAT: &str = r#"
table ip nat {
  chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
  chain in { type filter hook input priority filter; iifname "wan" ct state new drop; }
  chain through { type filter hook forward priority filter; iifname "wan" ct state new drop; }
}
"#;

/// Some namespaces, by short names.
pub(crate) struct Networks {
    tag: String,
    guard: Child,
}

impl Networks {
    /// Makes them, with nothing between them.
    pub(crate) fn new(spaces: &[&str]) -> Result<Networks, String> {
        let tag = format!("cx{:06x}", rand::rng().random_range(0..1 << 24));
        let mut guard = Command::new("sh");
        guard.args(["-c", SCRIPT, "guard"]).args(spaces.iter().map(|space| format!("{tag}{space}")));
        let guard =
            guard.stdin(Stdio::piped()).spawn().map_err(|error| format!("there is no shell: {error}"))?;
        let networks = Networks { tag, guard };
        for space in spaces {
            run("ip", &["netns", "add", &networks.name(space)])?;
            networks.within(space, &["ip", "link", "set", "lo", "up"])?;
        }
        Ok(networks)
    }

    fn name(&self, space: &str) -> String {
        format!("{}{space}", self.tag)
    }

    /// Runs a command in a namespace.
    pub(crate) fn within(&self, space: &str, words: &[&str]) -> Result<(), String> {
        run("ip", &[&["netns", "exec", &self.name(space)], words].concat())
    }

    /// A link between two namespaces. Each end has a name, and an address where one is given.
    pub(crate) fn link(&self, ends: [(&str, &str, Option<&str>); 2]) -> Result<(), String> {
        let [(left, here, _), (right, there, _)] = ends;
        let (left, right) = (self.name(left), self.name(right));
        run(
            "ip",
            &["link", "add", here, "netns", &left, "type", "veth", "peer", "name", there, "netns", &right],
        )?;
        for (space, device, address) in ends {
            if let Some(address) = address {
                self.within(space, &["ip", "addr", "add", address, "dev", device])?;
            }
            self.within(space, &["ip", "link", "set", device, "up"])?;
        }
        Ok(())
    }

    /// Makes a router with NAT of a namespace: its way out is the device `wan`.
    pub(crate) fn masquerade(&self, space: &str) -> Result<(), String> {
        self.within(space, &["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
        self.within(space, &["nft", NAT])
    }

    /// A program that runs in a namespace.
    pub(crate) fn command(&self, space: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(space)]).arg(program);
        command
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // The end of its input is the sign.
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(words).output();
    let done = done.map_err(|error| format!("the command {program} can't be run: {error}"))?;
    let said = || String::from_utf8_lossy(&done.stderr).trim().to_owned();
    if done.status.success() { Ok(()) } else { Err(format!("{program} {}: {}", words.join(" "), said())) }
}
