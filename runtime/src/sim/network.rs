//! The simulated network: packets in the air, and the links whose numbers keep the promises of a transport.
//!
//! Every directed pair of nodes is a link. A frame is one packet on it, with a number. The weather loses packets,
//! doubles them and holds them up; what reaches the receiver is sorted out by number (see [`Order`]): one that comes
//! late or twice is dropped, and what is missing is told as a gap. A path that is cut loses everything, and after a
//! while its two ends are told that it has ended; when it heals, it begins anew.
//!
//! It does not model bandwidth, and it does not fragment frames.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use connectome_actors::port::{Inbound, TransportError};
use connectome_actors::protocol::Dice;
use connectome_codecs::limits::FRAME_MAX;
use connectome_codecs::{Envelope, NodeId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::config::{Network, Order};
use super::journal::Journal;
use super::world::{Clock, FNV_BASIS, Rolls, fnv, millis};

/// Frames of one link that are in the air or wait to be read, at the most: what the local transport allows as well.
pub const LINK_FRAMES_MAX: usize = 1_024;

/// A node in one of its lives: a transport of an earlier one does nothing any more.
pub(super) type Life = (NodeId, u64);

/// The network that all nodes of a simulation share.
pub(super) struct Net {
    clock: Clock,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    weather: Network,
    ends: BTreeMap<NodeId, End>,
    pairs: BTreeMap<(NodeId, NodeId), Pair>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    /// Directed paths that lose everything now.
    cuts: BTreeSet<(NodeId, NodeId)>,
    air: BTreeMap<(u64, u64), Packet>,
    packets: u64,
}

/// A node, as the network knows it.
struct End {
    name: String,
    life: u64,
    open: bool,
    inbox: VecDeque<Item>,
    some: Arc<Notify>,
    room: Arc<Notify>,
}

/// What waits to be read; a frame with the session it came in.
struct Item {
    session: u64,
    inbound: Inbound,
}

/// What two nodes have together: one session after another, each until one of them ends or the path breaks.
#[derive(Default)]
struct Pair {
    session: u64,
    cut_since: Option<u64>,
    broken: bool,
}

/// One direction of it.
#[derive(Default)]
struct Link {
    /// The number of the next packet to be sent.
    next: u64,
    /// The lowest number that may still be handed up.
    expected: u64,
    /// Frames in the air or in the inbox.
    unread: usize,
    /// When the last packet arrives that was not held up.
    last_due: u64,
    /// Sessions below this one are over for the receiver, and it was told.
    over: u64,
}

struct Packet {
    from: NodeId,
    to: NodeId,
    session: u64,
    content: Content,
}

enum Content {
    Frame {
        number: u64,
        frame: Bytes,
    },
    /// The sender has gone.
    Farewell,
}

impl Net {
    pub(super) fn new(clock: Clock, journal: Journal, dice: Dice, weather: Network) -> Net {
        let state = State {
            dice,
            weather,
            ends: BTreeMap::new(),
            pairs: BTreeMap::new(),
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            air: BTreeMap::new(),
            packets: 0,
        };
        Net { clock, journal, state: Mutex::new(state) }
    }

    /// A node begins a life: a fresh inbox, and a session with everyone who is here.
    pub(super) fn join(&self, node: NodeId, name: &str, life: u64) -> (Arc<Notify>, Arc<Notify>) {
        let (some, room) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let end = End {
            name: name.to_owned(),
            life,
            open: true,
            inbox: VecDeque::new(),
            some: some.clone(),
            room: room.clone(),
        };
        let mut state = self.state.lock();
        state.ends.insert(node, end);
        let others: Vec<NodeId> = state.ends.keys().copied().filter(|other| *other != node).collect();
        for other in others {
            state.meet(node, other);
        }
        (some, room)
    }

    /// A life ends, whether it was closed or killed: from now on nothing leaves, and the others are told.
    pub(super) fn leave(&self, (node, life): Life) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let Some(end) = state.ends.get_mut(&node).filter(|end| end.life == life && end.open) else { return };
        end.close();
        let others: Vec<NodeId> = state.ends.keys().copied().filter(|other| *other != node).collect();
        for other in others {
            state.say_farewell(node, other, now);
        }
    }

    pub(super) fn send(&self, from: Life, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        if frame.len() > FRAME_MAX {
            return Err(TransportError::TooLarge { size: frame.len(), max: FRAME_MAX });
        }
        let now = self.clock.now();
        let mut state = self.state.lock();
        if !state.is_live(from) {
            return Err(TransportError::Closed);
        }
        if !state.connected(from.0, to) {
            return Err(TransportError::Unreachable { to });
        }
        if state.links.entry((from.0, to)).or_default().unread >= LINK_FRAMES_MAX {
            return Err(TransportError::Full { to, bound: LINK_FRAMES_MAX });
        }
        let (number, fate) = state.launch(from.0, to, frame.clone(), now);
        let (sender, receiver) = (state.name(from.0), state.name(to));
        self.journal.add(sender, format_args!("sends {receiver} #{number} {}{fate}", describe(&frame)));
        Ok(())
    }

    pub(super) fn is_full(&self, from: Life, to: NodeId) -> bool {
        let state = self.state.lock();
        let full = state.links.get(&(from.0, to)).is_some_and(|link| link.unread >= LINK_FRAMES_MAX);
        full && state.is_live(from) && state.connected(from.0, to)
    }

    /// Whom a node has a path to, as far as it has noticed.
    pub(super) fn reachable(&self, from: Life) -> Vec<NodeId> {
        let state = self.state.lock();
        if !state.is_live(from) {
            return Vec::new();
        }
        state.ends.keys().copied().filter(|to| *to != from.0 && state.connected(from.0, *to)).collect()
    }

    /// The next thing a node reads. `Some(None)`: there will never be anything.
    pub(super) fn take(&self, (node, life): Life) -> Option<Option<Inbound>> {
        let mut state = self.state.lock();
        let Some(end) = state.ends.get_mut(&node).filter(|end| end.life == life && end.open) else {
            return Some(None);
        };
        let Item { session, inbound } = end.inbox.pop_front()?;
        if let Inbound::Frame { from, .. } = &inbound {
            state.read(*from, node, session);
        }
        Some(Some(inbound))
    }

    pub(super) fn set_weather(&self, weather: Network) {
        self.state.lock().weather = weather;
    }

    /// Cuts or mends one direction.
    pub(super) fn cut(&self, from: NodeId, to: NodeId, cut: bool) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if cut {
            state.cuts.insert((from, to));
        } else {
            state.cuts.remove(&(from, to));
        }
        let whole = !state.cuts.contains(&(from, to)) && !state.cuts.contains(&(to, from));
        let pair = state.pairs.entry(ordered(from, to)).or_default();
        match whole {
            true => pair.cut_since = None,
            false => {
                pair.cut_since.get_or_insert(now);
            }
        }
        if whole && pair.broken {
            state.meet(from, to);
        }
    }

    /// Everything that is due at this tick: what has arrived, and who notices that a path is cut.
    pub(super) fn advance(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.notice_cuts(now, &self.journal);
        while let Some(entry) = state.air.first_entry().filter(|entry| entry.key().0 <= now) {
            let packet = entry.remove();
            state.arrive(packet, &self.journal);
        }
    }
}

impl State {
    /// A new session between two nodes. What is left of the one before is over; where `other` was not told yet, it is
    /// told now.
    fn meet(&mut self, one: NodeId, other: NodeId) {
        let pair = self.pairs.entry(ordered(one, other)).or_default();
        pair.session += 1;
        pair.broken = false;
        let session = pair.session;
        for (from, to) in [(one, other), (other, one)] {
            let link = self.links.entry((from, to)).or_default();
            let untold = to == other && link.over > 0 && link.over < session;
            *link = Link { over: session, ..Link::default() };
            if untold {
                self.tell_disconnected(from, to);
            }
        }
    }

    fn say_farewell(&mut self, from: NodeId, to: NodeId, now: u64) {
        let pair = self.pairs.entry(ordered(from, to)).or_default();
        let session = pair.session;
        if pair.broken {
            return;
        }
        let delay = match self.cuts.contains(&(from, to)) {
            true => millis(self.weather.notice),
            false => self.dice.between(self.weather.delay.0, self.weather.delay.1),
        };
        self.packets += 1;
        let due = now + delay.max(1);
        self.air.insert((due, self.packets), Packet { from, to, session, content: Content::Farewell });
    }

    /// Puts a frame into the air, and says its number and what will become of it.
    fn launch(&mut self, from: NodeId, to: NodeId, frame: Bytes, now: u64) -> (u64, &'static str) {
        let Network { delay, loss, duplication, disorder, held_up, .. } = self.weather;
        let (lost, doubled, late) =
            (self.dice.happens(loss), self.dice.happens(duplication), self.dice.happens(disorder));
        let delay = self.dice.between(delay.0, delay.1).max(1);
        let longer = self.dice.between(std::time::Duration::ZERO, held_up);
        let session = self.pairs.get(&ordered(from, to)).map_or(0, |pair| pair.session);
        let link = self.links.entry((from, to)).or_default();
        let number = link.next;
        link.next += 1;
        if lost {
            return (number, ", lost");
        }
        let in_order = (now + delay).max(link.last_due);
        let due = match late {
            true => now + delay + longer,
            false => {
                link.last_due = in_order;
                in_order
            }
        };
        let copies = if doubled { vec![due, now + delay + longer] } else { vec![due] };
        link.unread += copies.len();
        for due in copies {
            self.packets += 1;
            let content = Content::Frame { number, frame: frame.clone() };
            self.air.insert((due, self.packets), Packet { from, to, session, content });
        }
        (
            number,
            if doubled {
                ", doubled"
            } else if late {
                ", held up"
            } else {
                ""
            },
        )
    }

    fn arrive(&mut self, packet: Packet, journal: &Journal) {
        let Packet { from, to, session, content } = packet;
        let link = self.links.entry((from, to)).or_default();
        let is_over = session < link.over;
        match content {
            Content::Farewell if is_over => {}
            Content::Farewell => {
                link.over = session + 1;
                self.tell_disconnected(from, to);
                journal.add(self.name(to), format_args!("hears that {} has gone", self.name(from)));
            }
            Content::Frame { number, frame } => {
                let why = match () {
                    () if is_over => Some("too late"),
                    () if self.cuts.contains(&(from, to)) => Some("the path is cut"),
                    () if !self.ends.get(&to).is_some_and(|end| end.open) => Some("nobody is there"),
                    () => self.sort_out(from, to, number),
                };
                match why {
                    Some(why) => {
                        self.read(from, to, session);
                        journal
                            .add(self.name(to), format_args!("misses {} #{number}: {why}", self.name(from)));
                    }
                    None => {
                        journal.add(self.name(to), format_args!("hears {} #{number}", self.name(from)));
                        self.put(to, session, Inbound::Frame { from, frame });
                    }
                }
            }
        }
    }

    /// What the numbers say of a packet: why it is dropped, if it is.
    fn sort_out(&mut self, from: NodeId, to: NodeId, number: u64) -> Option<&'static str> {
        let link = self.links.entry((from, to)).or_default();
        let (expected, session) = (link.expected, link.over);
        link.expected = expected.max(number + 1);
        match self.weather.order {
            Order::Raw => None,
            Order::Kept if number < expected => Some("late or twice"),
            Order::Kept => {
                if number > expected {
                    self.put(to, session, Inbound::Gap { from, frames: Some(number - expected) });
                }
                None
            }
        }
    }

    /// A path that has been cut for long enough ends, and both ends are told.
    fn notice_cuts(&mut self, now: u64, journal: &Journal) {
        let notice = millis(self.weather.notice);
        let due = |pair: &Pair| !pair.broken && pair.cut_since.is_some_and(|since| since + notice <= now);
        let broken: Vec<_> = self.pairs.iter().filter(|(_, pair)| due(pair)).map(|(ends, _)| *ends).collect();
        for (one, other) in broken {
            let Some(pair) = self.pairs.get_mut(&(one, other)) else { continue };
            pair.broken = true;
            let over = pair.session + 1;
            journal.add(
                super::journal::DRIVER,
                format_args!("{} and {} lose touch", self.name(one), self.name(other)),
            );
            for (from, to) in [(one, other), (other, one)] {
                let link = self.links.entry((from, to)).or_default();
                let untold = link.over < over;
                link.over = over;
                if untold {
                    self.tell_disconnected(from, to);
                }
            }
        }
    }

    fn tell_disconnected(&mut self, peer: NodeId, to: NodeId) {
        let session = self.links.get(&(peer, to)).map_or(0, |link| link.over);
        self.put(to, session, Inbound::Disconnected { peer });
        if let Some(end) = self.ends.get(&to) {
            end.room.notify_waiters();
        }
    }

    fn put(&mut self, to: NodeId, session: u64, inbound: Inbound) {
        if let Some(end) = self.ends.get_mut(&to).filter(|end| end.open) {
            end.inbox.push_back(Item { session, inbound });
            end.some.notify_one();
        }
    }

    /// A frame has left its link: there is room for another.
    fn read(&mut self, from: NodeId, to: NodeId, session: u64) {
        let now = self.pairs.get(&ordered(from, to)).map_or(0, |pair| pair.session);
        if let Some(link) = self.links.get_mut(&(from, to)).filter(|_| session == now) {
            link.unread = link.unread.saturating_sub(1);
        }
        if let Some(end) = self.ends.get(&from) {
            end.room.notify_waiters();
        }
    }

    fn is_live(&self, (node, life): Life) -> bool {
        self.ends.get(&node).is_some_and(|end| end.open && end.life == life)
    }

    fn connected(&self, from: NodeId, to: NodeId) -> bool {
        let is_open = self.ends.get(&to).is_some_and(|end| end.open);
        from != to && is_open && self.pairs.get(&ordered(from, to)).is_some_and(|pair| !pair.broken)
    }

    fn name(&self, node: NodeId) -> &str {
        self.ends.get(&node).map_or("?", |end| &end.name)
    }
}

impl End {
    fn close(&mut self) {
        self.open = false;
        self.inbox.clear();
        self.some.notify_one();
        self.room.notify_waiters();
    }
}

fn ordered(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}

/// A frame for the log: what it is, how long, and a hash of its bytes, so that no difference escapes.
fn describe(frame: &Bytes) -> String {
    let hash = fnv(FNV_BASIS, frame) as u32;
    let what = match Envelope::decode(frame.clone()) {
        Ok(envelope) => match envelope.name {
            Some(name) => format!("{} {name}", envelope.kind),
            None => envelope.kind.to_string(),
        },
        Err(_) => "no envelope".to_owned(),
    };
    format!("{what}, {} B, {hash:08x}", frame.len())
}
