//! What has happened to a transport, in numbers.

/// Totals since the transport was opened, and how many peers it has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TransportCounts {
    /// Peers that can be sent to now.
    pub peers: usize,
    /// Links that came up.
    pub met: u64,
    /// Links that ended, by what ended them.
    pub disconnected: Disconnected,
    /// Frames that were taken to be sent.
    pub frames_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Frames that arrived.
    pub frames_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Times that frames were missing.
    pub gaps: u64,
    /// How many were.
    pub frames_missing: u64,
    /// Messages that had been here before, and were dropped.
    pub duplicates: u64,
    /// Parts of frames whose beginning is missing.
    pub torn: u64,
    /// Messages of senders who do not keep to their window, or whose earlier lives left too much unread.
    pub overruns: u64,
    /// Messages for a link that is not, or no more.
    pub strays: u64,
    /// Messages that are no packets.
    pub malformed: u64,
    /// Messages of a version of the link protocol that we do not speak.
    pub other_versions: u64,
    /// Introductions whose signature is wrong.
    pub forged: u64,
    /// Introductions that found the table of peers full.
    pub turned_away: u64,
    /// Introductions of another process with this node's key. Stop one of the two: they take each other's links.
    pub twins: u64,
    /// Packets that NATS would not take: larger than the server allows, say.
    pub unsent: u64,
}

/// Links that ended, by what ended them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Disconnected {
    /// The peer said farewell.
    pub farewell: u64,
    /// NATS said, twice, that nobody listens in the peer's place.
    pub nobody_listens: u64,
    /// The peer was silent for too long.
    pub silent: u64,
    /// The peer began anew.
    pub replaced: u64,
    /// The peer did not know the link any more.
    pub refused: u64,
    /// Our own connection was away for too long.
    pub outage: u64,
}

/// What ended a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Farewell,
    NobodyListens,
    Silent,
    Replaced,
    Refused,
    Outage,
}

impl Disconnected {
    pub(super) fn count(&mut self, end: End) {
        let counter = match end {
            End::Farewell => &mut self.farewell,
            End::NobodyListens => &mut self.nobody_listens,
            End::Silent => &mut self.silent,
            End::Replaced => &mut self.replaced,
            End::Refused => &mut self.refused,
            End::Outage => &mut self.outage,
        };
        *counter += 1;
    }
}
