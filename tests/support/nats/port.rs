//! Free ports that stay free while a server is down.

use std::net::TcpListener;

use rand::RngExt;

/// Below the ports that systems give to outgoing connections, so that nobody gets one by chance before a restart.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port of loopback that nobody listens on.
pub(crate) fn free() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let tries = std::iter::repeat_with(|| rand::rng().random_range(PORTS)).take(1_000);
    tries.into_iter().find(is_free).expect("one port in a thousand is free")
}
