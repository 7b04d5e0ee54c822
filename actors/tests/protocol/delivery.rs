//! Promises of `protocol::delivery`: messages, an agent that keeps its state, and everything that can go wrong between
//! a stream, a process, an agent and a store.

mod world;

use connectome_actors::protocol::delivery::{
    Action, CRASHES_MAX, IN_HAND_MAX, Input, Kept, Lane, RECENT_MAX,
};
use connectome_codecs::{MessageId, Sequence, UnixMillis};
use proptest::prelude::*;

use world::{Content, Op, World};

fn ops(content: impl Strategy<Value = Content> + 'static) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => content.prop_map(Op::Publish),
        8 => (1..4_usize).prop_map(Op::Read),
        1 => Just(Op::LoseRemoval),
        10 => Just(Op::Handle),
        8 => Just(Op::Save),
        2 => Just(Op::SetAside),
        1 => Just(Op::Crash),
        3 => Just(Op::Start),
        1 => any::<bool>().prop_map(|saved| Op::Kill { saved }),
        3 => Just(Op::Open),
    ];
    prop::collection::vec(op, 0..200)
}

fn any_content() -> impl Strategy<Value = Content> {
    prop_oneof![
        8 => Just(Content::Plain),
        1 => Just(Content::Poison),
        1 => Just(Content::Deadly),
        1 => Just(Content::Again),
    ]
}

proptest! {
    /// Whatever crashes or is lost: in the saved state every message is applied once, in order; it is removed when that is
    /// saved, and not before; poison is set aside; nothing is stuck. (At most two processes are
    /// killed by chance, so that no innocent message is there three times.)
    #[test]
    fn every_message_is_applied_once_or_set_aside(ops in ops(any_content())) {
        let mut world = World::new();
        for op in ops {
            if matches!(op, Op::Kill { .. }) {
                world.kills += 1;
                if world.kills > 2 {
                    continue;
                }
            }
            world.apply(op);
        }
        world.drain();
        world.is_settled();
    }

    /// A message that crashes its agent is handled three times, however often the rest of the lane is disturbed.
    #[test]
    fn poison_is_handled_three_times(before in 0..5_usize, after in 0..5_usize) {
        let mut world = World::new();
        (0..before).for_each(|_| world.publish(Content::Plain));
        world.publish(Content::Poison);
        (0..after).for_each(|_| world.publish(Content::Plain));
        world.drain();
        world.is_settled();
        let (sequence, crashes) = world.letters.pop_first().expect("it was set aside");
        prop_assert_eq!((crashes, world.handled[&sequence]), (CRASHES_MAX, CRASHES_MAX));
    }
}

/// A message that ends the process ends it once before it is suspected, and three times more.
#[test]
fn a_deadly_message_is_set_aside_across_processes() {
    let mut world = World::new();
    [Content::Plain, Content::Plain, Content::Deadly, Content::Plain]
        .into_iter()
        .for_each(|c| world.publish(c));
    world.drain();
    world.is_settled();
    assert_eq!(world.handled[&Sequence(9)], CRASHES_MAX + 1);
}

/// A lane reads no further than it has room, and goes on where it stopped.
#[test]
fn a_full_lane_waits_for_room() {
    let mut world = World::new();
    (0..3 * IN_HAND_MAX).for_each(|_| world.publish(Content::Plain));
    world.apply(Op::Read(3 * IN_HAND_MAX));
    let lane = |world: &World| world.process.as_ref().expect("it runs").lane.room();
    assert_eq!(lane(&world), 0);
    for _ in 0..IN_HAND_MAX {
        world.handle();
        world.save();
    }
    assert_eq!(lane(&world), IN_HAND_MAX);
    world.drain();
    world.is_settled();
}

/// An id that is sent again is applied once, while it is remembered; the window is bounded.
#[test]
fn an_id_is_remembered_for_a_while() {
    let mut lane = Lane::open(Kept::default(), []);
    let mut say = |input| lane.handle(input).collect::<Vec<_>>();
    let id = |n: u64| MessageId::from_parts(UnixMillis(1), n.into());
    say(Input::Started { cursor: Sequence(0) });
    for n in 1..=2 * RECENT_MAX as u64 {
        let sequence = Sequence(n);
        assert!(say(Input::Read { sequence, id: id(n) }).contains(&Action::Push { sequence }));
        say(Input::Handled { sequence });
        say(Input::Saved { cursor: sequence });
    }
    let next = Sequence(2 * RECENT_MAX as u64 + 1);
    let again = say(Input::Read { sequence: next, id: id(next.0 - 1) });
    assert_eq!(again, [Action::Save { cursor: next }]);
    assert_eq!(lane.kept().recent.len(), RECENT_MAX);
}

/// A lane that is given up pushes nothing more, and leaves in the stream what was not handled.
#[test]
fn a_detached_lane_leaves_what_waits() {
    let mut lane = Lane::open(Kept::default(), []);
    let mut say = |input| lane.handle(input).collect::<Vec<_>>();
    say(Input::Started { cursor: Sequence(0) });
    for n in 1..=3 {
        say(Input::Read { sequence: Sequence(n), id: MessageId::from_parts(UnixMillis(1), n.into()) });
    }
    assert_eq!(say(Input::Detached), []);
    let id = MessageId::from_parts(UnixMillis(1), 4);
    assert_eq!(say(Input::Read { sequence: Sequence(4), id }), []);
    assert_eq!(say(Input::Started { cursor: Sequence(0) }), []);
}
