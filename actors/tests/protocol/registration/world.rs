//! Nodes, a bucket with revisions that may fail, watches that are late, and a registrar that is one of the live nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use connectome_actors::protocol::registration::{
    Action, Application, Done, IN_HAND_MAX, Input, Keeper, Standing, Verdict, Wish, admit,
};
use connectome_actors::protocol::{Dice, Now};
use connectome_codecs::message::AgentRecord;
use connectome_codecs::registration::{Refusal, Registration};
use connectome_codecs::{AgentName, NodeId, Revision, UnixMillis};

/// How long after its end the others know that a node is down.
pub(super) const DOWN_MS: u64 = 1_500;

#[derive(Debug, Clone)]
pub(super) enum Op {
    Want(usize, usize, u32),
    Unwant(usize, usize),
    Kill(usize),
    Leave(usize),
    Start(usize),
    /// So many of a hundred requests fail, half of them after they were done.
    Failing(u64),
    /// A watch breaks and is opened anew.
    Blind(usize),
    /// Somebody removes an entry.
    Forget(usize),
    Pause(u64),
}

#[derive(Default)]
struct Machine {
    keeper: Option<Keeper>,
    life: u64,
    wanted: BTreeMap<AgentName, AgentRecord>,
    shown: BTreeMap<AgentName, NodeId>,
    /// Those that it hears.
    present: BTreeSet<NodeId>,
    in_hand: usize,
    leaving: bool,
}

enum Event {
    Told(usize, u64, Input),
    /// A request reaches the store.
    Asked(usize, u64, Action),
    /// A published registration reaches a registrar for the n-th time.
    Delivered(Registration, u32),
    /// Node looks at who is there.
    Look,
    Expire(AgentName, Revision),
}

pub(super) struct World {
    now: u64,
    dice: Dice,
    machines: Vec<Machine>,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    revision: u64,
    failing: u64,
    cut: Option<usize>,
    pub(super) bucket: BTreeMap<AgentName, (Arc<Registration>, Revision)>,
    pub(super) published: u64,
    pub(super) wrote: u64,
    pub(super) conflicts: u64,
    pub(super) most_in_hand: usize,
    pub(super) swept: Vec<u64>,
}

impl World {
    pub(super) fn new(nodes: usize, seed: u64) -> World {
        let mut world = World {
            now: 0,
            dice: Dice::new(seed),
            machines: (0..nodes).map(|_| Machine::default()).collect(),
            events: BTreeMap::new(),
            sequence: 0,
            revision: 0,
            failing: 0,
            cut: None,
            bucket: BTreeMap::new(),
            published: 0,
            wrote: 0,
            conflicts: 0,
            most_in_hand: 0,
            swept: vec![0; nodes],
        };
        (0..nodes).for_each(|node| world.apply(Op::Start(node)));
        world
    }

    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Want(node, agent, version) => self.want(node, agent, version),
            Op::Unwant(node, agent) => self.unwant(node, agent),
            Op::Kill(node) => self.end(node),
            Op::Leave(node) => self.leave(node),
            Op::Start(node) => self.start(node),
            Op::Failing(percent) => self.failing = percent,
            Op::Blind(node) => {
                let names = self.bucket.keys().cloned().collect();
                self.tell(node, Input::Looked(names));
            }
            Op::Forget(agent) => self.remove(&name(agent)),
            Op::Pause(ms) => self.run(ms),
        }
    }

    pub(super) fn want(&mut self, node: usize, agent: usize, version: u32) {
        let machine = &mut self.machines[node];
        if machine.keeper.is_some() && !machine.leaving {
            let record = record(agent, version);
            machine.wanted.insert(record.name.clone(), record.clone());
            self.tell(node, Input::Wanted(record));
        }
    }

    pub(super) fn unwant(&mut self, node: usize, agent: usize) {
        if self.machines[node].wanted.remove(&name(agent)).is_some() {
            self.tell(node, Input::Unwanted(name(agent)));
        }
    }

    /// The node and the others do not hear each other; all reach the store.
    pub(super) fn cut_off(&mut self, node: usize) {
        self.cut = Some(node);
        self.at(DOWN_MS, Event::Look);
    }

    pub(super) fn reconnect(&mut self, _node: usize) {
        self.cut = None;
        self.at(100, Event::Look);
    }

    /// A node suspects all others for four seconds, and then takes them for down.
    pub(super) fn hears_nobody(&mut self, node: usize) {
        let present = self.machines[node].present.clone();
        self.tell(node, Input::Nodes { up: BTreeSet::new(), present });
        let (life, nobody) = (self.machines[node].life, BTreeSet::new());
        let down = Input::Nodes { up: nobody.clone(), present: nobody };
        self.at(4_000, Event::Told(node, life, down));
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let event = self.events.first_key_value().map(|(at, _)| at.0);
            let ticks = (0..self.machines.len()).filter_map(|node| Some((self.tick_of(node)?, node)));
            let tick = ticks.min();
            match (event, tick) {
                (event, Some((at, node))) if at <= end && event.is_none_or(|event| at < event) => {
                    self.now = self.now.max(at);
                    self.tell(node, Input::Tick);
                }
                (Some(at), _) if at <= end => {
                    self.now = self.now.max(at);
                    if let Some((_, event)) = self.events.pop_first() {
                        self.happen(event);
                    }
                }
                (_, _) => break,
            }
        }
        self.now = end;
    }

    /// Checks that each name that a live node wants stands for one of those that want it.
    pub(super) fn holds_what_is_wanted(&self) {
        for name in self.wanted() {
            let (stands, _) = self.bucket.get(name).expect("it is wanted and does not stand");
            let owner = &self.machines[usize::from(stands.node.0[0])];
            let is = (stands.incarnation, Some(&stands.agent));
            assert_eq!((owner.life, owner.wanted.get(name)), is, "of {}", stands.node);
        }
    }

    /// The same, and nothing else stands, and every live node shows it.
    pub(super) fn agrees(&self) {
        self.holds_what_is_wanted();
        assert_eq!(self.bucket.keys().collect::<BTreeSet<_>>(), self.wanted());
        let stands: BTreeMap<_, _> =
            self.bucket.iter().map(|(name, (of, _))| (name.clone(), of.node)).collect();
        self.live().for_each(|machine| assert_eq!(machine.shown, stands));
    }

    fn live(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.keeper.is_some() && !machine.leaving)
    }

    fn wanted(&self) -> BTreeSet<&AgentName> {
        self.live().flat_map(|machine| machine.wanted.keys()).collect()
    }

    fn start(&mut self, node: usize) {
        if self.machines[node].keeper.is_some() {
            return;
        }
        let life = self.wall().0;
        let keeper = Some(Keeper::new(id(node), life));
        self.machines[node] = Machine { keeper, life, ..Machine::default() };
        // Its watch tells what stands.
        for (stands, revision) in self.bucket.values() {
            let seen = Input::Seen { registration: stands.clone(), revision: *revision };
            self.sequence += 1;
            self.events.insert((self.now + 1, self.sequence), Event::Told(node, life, seen));
        }
        self.at(100, Event::Look);
    }

    fn end(&mut self, node: usize) {
        if self.machines[node].keeper.take().is_some() {
            self.at(DOWN_MS, Event::Look);
        }
    }

    fn leave(&mut self, node: usize) {
        if self.machines[node].keeper.is_some() {
            self.machines[node].leaving = true;
            self.machines[node].wanted.clear();
            self.tell(node, Input::Leave);
        }
    }

    fn tick_of(&self, node: usize) -> Option<u64> {
        let tick = self.machines[node].keeper.as_ref()?.next_tick()?;
        Some(u64::try_from(tick.since_origin().as_millis()).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(1_000_000_000 + self.now)
    }

    fn at(&mut self, after: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn tell(&mut self, node: usize, input: Input) {
        let (now, wall) = (Now::new(Duration::from_millis(self.now)), self.wall());
        let machine = &mut self.machines[node];
        let Some(keeper) = &mut machine.keeper else { return };
        let actions: Vec<_> = keeper.handle(now, wall, input).collect();
        let has_left = keeper.has_left();
        actions.into_iter().for_each(|action| self.perform(node, action));
        if has_left {
            self.end(node);
        }
    }

    fn perform(&mut self, node: usize, action: Action) {
        let machine = &mut self.machines[node];
        match action {
            Action::Publish(_) | Action::Write { .. } | Action::Remove { .. } => {
                machine.in_hand += 1;
                assert!(machine.in_hand <= IN_HAND_MAX, "{} under way", machine.in_hand);
                self.most_in_hand = self.most_in_hand.max(machine.in_hand);
                let life = machine.life;
                let after = 1 + self.dice.below(4);
                self.at(after, Event::Asked(node, life, action));
            }
            Action::Show(of) => drop(machine.shown.insert(of.agent.name.clone(), of.node)),
            Action::Hide(of) => {
                assert_eq!(machine.shown.remove(&of.agent.name), Some(of.node), "hidden was not shown");
            }
            Action::Swept(_) => self.swept[node] += 1,
            Action::Confirmed(_) | Action::Refused(_) | Action::Ended { .. } => {}
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Told(node, life, input) => {
                if self.machines[node].life == life {
                    if let Input::Done { .. } = &input {
                        self.machines[node].in_hand -= 1;
                    }
                    self.tell(node, input);
                }
            }
            Event::Asked(node, life, action) => self.asked(node, life, action),
            Event::Delivered(registration, attempt) => self.decide(registration, attempt),
            Event::Look => (0..self.machines.len()).for_each(|node| self.look(node)),
            Event::Expire(name, revision) => {
                if self.bucket.get(&name).is_some_and(|(_, held)| *held == revision) {
                    self.remove(&name);
                }
            }
        }
    }

    fn look(&mut self, node: usize) {
        let hears = |other: &usize| {
            let together = self.cut.is_none_or(|cut| cut != *other && cut != node);
            *other != node && together && self.machines[*other].keeper.is_some()
        };
        let present: BTreeSet<_> = (0..self.machines.len()).filter(hears).map(id).collect();
        self.machines[node].present.clone_from(&present);
        self.tell(node, Input::Nodes { up: present.clone(), present });
    }

    fn asked(&mut self, node: usize, life: u64, action: Action) {
        let fails = self.dice.below(100) < self.failing;
        let does = !fails || self.dice.below(2) == 0;
        let (name, done) = match action {
            Action::Publish(registration) => {
                let name = registration.agent.name.clone();
                if does {
                    self.published += 1;
                    let after = 1 + self.dice.below(5);
                    self.at(after, Event::Delivered(registration, 1));
                }
                (name, Done::Published)
            }
            Action::Write { registration, over } => {
                let name = registration.agent.name.clone();
                let done = self.change(&name, over, does, Some(registration));
                (name, if done { Done::Wrote } else { Done::Conflict })
            }
            Action::Remove { name, revision } => {
                let done = self.change(&name, revision, does, None);
                (name, if done { Done::Removed } else { Done::Conflict })
            }
            Action::Show(_) | Action::Hide(_) | Action::Confirmed(_) | Action::Refused(_) => return,
            Action::Swept(_) | Action::Ended { .. } => return,
        };
        let done = if fails { Done::Failed } else { done };
        self.conflicts += u64::from(done == Done::Conflict);
        let after = 1 + self.dice.below(4);
        self.at(after, Event::Told(node, life, Input::Done { name, done }));
    }

    /// Whether the entry was as expected. Without `does`, the request never arrives.
    fn change(&mut self, name: &AgentName, over: Revision, does: bool, to: Option<Registration>) -> bool {
        let is = self.bucket.get(name).is_some_and(|(_, revision)| *revision == over);
        if is && does {
            match to {
                Some(registration) => self.write(registration),
                None => self.remove(name),
            }
        }
        is
    }

    fn write(&mut self, registration: Registration) {
        self.wrote += 1;
        self.revision += 1;
        let (registration, revision) = (Arc::new(registration), Revision(self.revision));
        let name = registration.agent.name.clone();
        let ttl = u64::from(registration.ttl_s) * 1_000;
        self.bucket.insert(name.clone(), (registration.clone(), revision));
        self.at(ttl, Event::Expire(name, revision));
        self.watched(Input::Seen { registration, revision });
    }

    fn remove(&mut self, name: &AgentName) {
        if self.bucket.remove(name).is_some() {
            self.revision += 1;
            self.watched(Input::Gone { name: name.clone(), revision: Revision(self.revision) });
        }
    }

    /// Everybody hears of it, in order.
    fn watched(&mut self, input: Input) {
        for node in 0..self.machines.len() {
            let life = self.machines[node].life;
            self.at(2, Event::Told(node, life, input.clone()));
        }
    }

    /// Any live node decides.
    fn decide(&mut self, record: Registration, attempt: u32) {
        let live: Vec<_> =
            (0..self.machines.len()).filter(|node| self.machines[*node].keeper.is_some()).collect();
        let Some(count) = u64::try_from(live.len()).ok().filter(|count| *count > 0) else {
            return self.at(1_000, Event::Delivered(record, attempt));
        };
        let registrar = live[usize::try_from(self.dice.below(count)).unwrap_or(0)];
        let held = self.bucket.get(&record.agent.name).map(|(held, _)| held.clone());
        let held = held.as_ref().map(|held| (&**held, self.standing(registrar, held.node)));
        let standing = self.standing(registrar, record.node);
        let asked = Application { wish: Wish::Register, record: &record, standing, attempt, held };
        match admit(self.wall(), asked) {
            Verdict::Accept => self.write(record),
            Verdict::Remove | Verdict::Known => {}
            Verdict::Later => self.at(250, Event::Delivered(record, attempt + 1)),
            Verdict::Refuse { code, holder, detail } => {
                let (node, issued) = (Some(record.node), Some(record.issued));
                let refusal = Refusal { agent: record.agent.name, node, issued, code, holder, detail };
                self.watched(Input::Refused(refusal));
            }
        }
    }

    fn standing(&self, registrar: usize, node: NodeId) -> Standing {
        let machine = &self.machines[registrar];
        if node == id(registrar) || machine.present.contains(&node) {
            Standing::Present
        } else if machine.keeper.as_ref().is_some_and(|keeper| keeper.fallen().contains(&node)) {
            Standing::Fallen
        } else {
            Standing::Unknown
        }
    }
}

pub(super) fn name(agent: usize) -> AgentName {
    format!("agent-{agent}").parse().expect("it is a name")
}

fn id(node: usize) -> NodeId {
    NodeId([u8::try_from(node).expect("a few nodes"); 32])
}

fn record(agent: usize, version: u32) -> AgentRecord {
    AgentRecord {
        name: name(agent),
        id: None,
        role: None,
        capabilities: Vec::new(),
        version: version.to_string(),
        in_flight: 0,
        term: None,
    }
}
