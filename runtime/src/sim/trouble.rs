//! Trouble: crashes, partitions and bad weather for a while, all of it from the seed, and then peace.

use std::time::Duration;

use connectome_actors::protocol::Dice;

use super::config::{Network, StoreFaults};
use super::error::SimError;
use super::world::{Rolls, dice_for, millis};
use super::{Sim, journal};

/// What may go wrong, how often and for how long. Times between two of a kind are rolled up to twice the mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// The mean time between two crashes, over all nodes.
    pub crash_every: Duration,
    /// For how long a crashed node stays down: the least and the greatest.
    pub down_for: (Duration, Duration),
    /// The mean time between two partitions. Every fourth one is cut in one direction only.
    pub part_every: Duration,
    /// For how long a partition holds: the least and the greatest.
    pub parted_for: (Duration, Duration),
    /// The mean time between two moments in which a node, or every fourth time every node, loses the store.
    pub lose_store_every: Duration,
    /// For how long: the least and the greatest.
    pub store_lost_for: (Duration, Duration),
    /// The weather meanwhile.
    pub network: Network,
    /// The way to the store meanwhile.
    pub store: StoreFaults,
}

impl Default for Trouble {
    /// More in a minute than most clusters see in a year.
    fn default() -> Trouble {
        Trouble {
            crash_every: Duration::from_secs(5),
            down_for: (Duration::from_millis(200), Duration::from_secs(8)),
            part_every: Duration::from_secs(7),
            parted_for: (Duration::from_millis(200), Duration::from_secs(8)),
            lose_store_every: Duration::from_secs(10),
            store_lost_for: (Duration::from_millis(200), Duration::from_secs(4)),
            network: Network::rough(),
            store: StoreFaults::rough(),
        }
    }
}

/// What ends a trouble.
enum Relief {
    Restart(String),
    Mend(Vec<(String, String)>),
    StoreBack(Option<String>),
}

/// When what happens next.
struct Plan {
    dice: Dice,
    crash_at: u64,
    part_at: u64,
    store_at: u64,
    reliefs: Vec<(u64, Relief)>,
}

impl Sim {
    /// Lets a time pass in trouble. At its end everything is well again: see [`Sim::calm`].
    ///
    /// # Errors
    /// [`SimError::Start`].
    pub fn trouble_for(&mut self, time: Duration, trouble: &Trouble) -> Result<(), SimError> {
        self.set_network(trouble.network.clone());
        self.set_store_faults(trouble.store.clone());
        let mut plan = Plan::new(dice_for(self.seed(), "trouble", self.now_ms()), self.now_ms(), trouble);
        let end = self.now_ms() + millis(time);
        while self.now_ms() < end {
            self.make_trouble(&mut plan, trouble)?;
            self.tick()?;
        }
        self.calm()
    }

    /// Ends all trouble: the network and the store are what the configuration says, every path is whole, every node
    /// that was crashed is restarted.
    ///
    /// # Errors
    /// [`SimError`], which can't happen for nodes that are declared.
    pub fn calm(&mut self) -> Result<(), SimError> {
        self.note("all trouble ends");
        let (network, store) = (self.config.network.clone(), self.config.store.clone());
        self.set_network(network);
        self.set_store_faults(store);
        self.heal();
        for name in self.names() {
            self.restart(&name)?;
        }
        Ok(())
    }

    fn make_trouble(&mut self, plan: &mut Plan, trouble: &Trouble) -> Result<(), SimError> {
        let now = self.now_ms();
        for relief in plan.due(now) {
            self.relieve(relief)?;
        }
        if now >= plan.crash_at {
            plan.crash_at = plan.next(now, trouble.crash_every);
            self.crash_one(plan, trouble)?;
        }
        if now >= plan.part_at {
            plan.part_at = plan.next(now, trouble.part_every);
            self.part_some(plan, trouble)?;
        }
        if now >= plan.store_at {
            plan.store_at = plan.next(now, trouble.lose_store_every);
            self.lose_store(plan, trouble)?;
        }
        Ok(())
    }

    fn relieve(&mut self, relief: Relief) -> Result<(), SimError> {
        match relief {
            Relief::Restart(name) => self.restart(&name),
            Relief::Mend(paths) => {
                paths.iter().try_for_each(|(from, to)| self.set_cut(from, to, false)).inspect(|()| {
                    self.journal.add(journal::DRIVER, format_args!("mends {}", arrows(&paths)));
                })
            }
            Relief::StoreBack(None) => {
                self.set_store_down(false);
                Ok(())
            }
            Relief::StoreBack(Some(name)) => self.cut_from_store(&name, false),
        }
    }

    fn crash_one(&mut self, plan: &mut Plan, trouble: &Trouble) -> Result<(), SimError> {
        let up: Vec<String> = self.names().into_iter().filter(|name| self.is_running(name)).collect();
        let Some(name) = plan.pick(&up) else { return Ok(()) };
        self.crash(&name)?;
        plan.relieve_after(self.now_ms(), trouble.down_for, Relief::Restart(name));
        Ok(())
    }

    fn part_some(&mut self, plan: &mut Plan, trouble: &Trouble) -> Result<(), SimError> {
        let (one, other): (Vec<String>, Vec<String>) =
            self.names().into_iter().partition(|_| plan.dice.below(2) == 0);
        let both_ways = plan.dice.below(4) != 0;
        let mut paths = Vec::new();
        for from in &one {
            for to in &other {
                paths.push((from.clone(), to.clone()));
                if both_ways {
                    paths.push((to.clone(), from.clone()));
                }
            }
        }
        if paths.is_empty() {
            return Ok(());
        }
        self.journal.add(journal::DRIVER, format_args!("cuts {}", arrows(&paths)));
        paths.iter().try_for_each(|(from, to)| self.set_cut(from, to, true))?;
        plan.relieve_after(self.now_ms(), trouble.parted_for, Relief::Mend(paths));
        Ok(())
    }

    fn lose_store(&mut self, plan: &mut Plan, trouble: &Trouble) -> Result<(), SimError> {
        let all = plan.dice.below(4) == 0;
        let name = plan.pick(&self.names()).filter(|_| !all);
        match &name {
            Some(name) => self.cut_from_store(name, true)?,
            None => self.set_store_down(true),
        }
        plan.relieve_after(self.now_ms(), trouble.store_lost_for, Relief::StoreBack(name));
        Ok(())
    }
}

impl Plan {
    fn new(dice: Dice, now: u64, trouble: &Trouble) -> Plan {
        let mut plan = Plan { dice, crash_at: 0, part_at: 0, store_at: 0, reliefs: Vec::new() };
        plan.crash_at = plan.next(now, trouble.crash_every);
        plan.part_at = plan.next(now, trouble.part_every);
        plan.store_at = plan.next(now, trouble.lose_store_every);
        plan
    }

    fn next(&mut self, now: u64, mean: Duration) -> u64 {
        now + self.dice.between(Duration::from_millis(1), mean * 2)
    }

    fn pick(&mut self, names: &[String]) -> Option<String> {
        let at = usize::try_from(self.dice.below(names.len() as u64)).ok()?;
        names.get(at).cloned()
    }

    fn relieve_after(&mut self, now: u64, (from, to): (Duration, Duration), relief: Relief) {
        let at = now + self.dice.between(from, to);
        self.reliefs.push((at, relief));
    }

    fn due(&mut self, now: u64) -> Vec<Relief> {
        let (due, later) = std::mem::take(&mut self.reliefs).into_iter().partition(|(at, _)| *at <= now);
        self.reliefs = later;
        let due: Vec<(u64, Relief)> = due;
        due.into_iter().map(|(_, relief)| relief).collect()
    }
}

fn arrows(paths: &[(String, String)]) -> String {
    let each: Vec<_> = paths.iter().map(|(from, to)| format!("{from}>{to}")).collect();
    each.join(" ")
}
