//! Everything at once: two nodes send, and in between anything happens. In the end every message has been handled.
//!
//! What happens: delivery in any order, twice, or not at all; damage on the way; crashes before and after each write; stores
//! that go back in time; state that is lost; both beginning at once; prekeys that run out; time that passes.
//!
//! What holds all the while, and is checked at each step:
//!
//! - No two messages have the same key and nonce; without a store that went back in time, no two have the same key.
//! - A message that was committed does not open again, while the store that says so is there.
//! - A damaged message is refused, and the state is the same, byte for byte.
//! - A message that its sender sealed is refused for a reason that says how it comes after all.
//! - What is written before a commit is what the commit makes; a record stays within its bound.
//!
//! A failure prints the steps that led to it, as few as there are.

mod node;

use proptest::prelude::*;
use proptest::sample::Index;

use node::{Crash, World};

/// What happens next. `who` is one of the two.
#[derive(Debug, Clone)]
enum Step {
    Send { who: usize, crash: Crash },
    Deliver { which: Index, crash: Crash },
    Duplicate { which: Index },
    Drop { which: Index },
    Damage { which: Index, bit: Index },
    Retry { who: usize },
    Restart { who: usize },
    GoBack { who: usize },
    Forget { who: usize },
    Refresh { who: usize },
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..2usize;
    let which = any::<Index>;
    prop_oneof![
        12 => (who(), any_crash()).prop_map(|(who, crash)| Step::Send { who, crash }),
        16 => (which(), any_crash()).prop_map(|(which, crash)| Step::Deliver { which, crash }),
        2 => which().prop_map(|which| Step::Duplicate { which }),
        2 => which().prop_map(|which| Step::Drop { which }),
        3 => (which(), which()).prop_map(|(which, bit)| Step::Damage { which, bit }),
        1 => who().prop_map(|who| Step::Retry { who }),
        2 => who().prop_map(|who| Step::Restart { who }),
        1 => who().prop_map(|who| Step::GoBack { who }),
        1 => who().prop_map(|who| Step::Forget { who }),
        1 => who().prop_map(|who| Step::Refresh { who }),
        2 => Just(Step::Wait),
    ]
}

fn any_crash() -> impl Strategy<Value = Crash> {
    prop_oneof![6 => Just(Crash::None), 1 => Just(Crash::BeforeWrite), 1 => Just(Crash::AfterWrite)]
}

fn run(world: &mut World, step: &Step) {
    match step {
        Step::Send { who, crash } => world.send(*who, *crash),
        Step::Deliver { which, crash } => world.deliver(which, *crash),
        Step::Duplicate { which } => world.duplicate(which),
        Step::Drop { which } => world.lose(which),
        Step::Damage { which, bit } => world.damage(which, bit),
        Step::Retry { who } => world.retry(*who),
        Step::Restart { who } => world.restart(*who),
        Step::GoBack { who } => world.go_back(*who),
        Step::Forget { who } => world.forget(*who),
        Step::Refresh { who } => world.refresh(*who),
        Step::Wait => world.wait(),
    }
}

proptest! {
    // A case is a hundred key agreements, so a quarter of the usual number; PROPTEST_CASES asks for four times as many.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    /// Whatever happens in between, every message is handled in the end, once.
    #[test]
    fn every_message_is_handled_whatever_happens(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        steps.iter().for_each(|step| run(&mut world, step));
        world.come_to_rest();
    }

    /// Without stores that go back and states that are lost nobody ever has to begin anew.
    #[test]
    fn crashes_alone_never_cost_a_session(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        let harmless = |step: &&Step| !matches!(step, Step::GoBack { .. } | Step::Forget { .. });
        steps.iter().filter(harmless).for_each(|step| run(&mut world, step));
        world.come_to_rest();
        prop_assert_eq!(world.resets, 0);
    }
}
