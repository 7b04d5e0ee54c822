//! Promises of `protocol::routing`.

use std::time::Duration;

use connectome_actors::protocol::routing::{Candidate, Failure, Next, Path, Reach, Route, Stop, Verb, pick};
use connectome_actors::protocol::{Dice, Now};
use proptest::prelude::*;

const IDLE: Candidate =
    Candidate { local: false, suspected: false, in_flight: 0, latency: Duration::from_millis(1) };

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let candidate = (any::<bool>(), any::<bool>(), any::<u64>(), 0..u64::MAX).prop_map(
        |(local, suspected, in_flight, nanos)| Candidate {
            local,
            suspected,
            in_flight,
            latency: Duration::from_nanos(nanos),
        },
    );
    prop::collection::vec(candidate, 0..20)
}

proptest! {
    /// What is chosen is there, and is suspected only when all are.
    #[test]
    fn a_pick_is_one_of_the_best_available(candidates in candidates(), dice in any::<u64>()) {
        match pick(&candidates, dice) {
            None => prop_assert!(candidates.is_empty()),
            Some(chosen) => {
                prop_assert!(!candidates[chosen].suspected || candidates.iter().all(|one| one.suspected));
            }
        }
    }

    /// Of two, the less busy one is always taken, and on a tie the local one.
    #[test]
    fn of_two_the_better_is_taken(left in 0..100_u64, right in 0..100_u64, dice in any::<u64>()) {
        let two = [Candidate { in_flight: left, ..IDLE }, Candidate { in_flight: right, local: true, ..IDLE }];
        prop_assert_eq!(pick(&two, dice), Some(usize::from(right <= left)));
    }

    /// With equal candidates that finish nothing, the busiest has at most four more than the average.
    #[test]
    fn load_is_balanced(count in 1..64_usize, messages in 0..4_000_usize, seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let mut candidates = vec![IDLE; count];
        for _ in 0..messages {
            let chosen = pick(&candidates, dice.roll()).expect("there are some");
            candidates[chosen].in_flight += 1;
        }
        let most = candidates.iter().map(|one| one.in_flight).max().expect("there are some");
        prop_assert!(most as usize <= messages.div_ceil(count) + 4, "{most} of {messages} over {count}");
    }

    /// No path is tried twice, none after it may have arrived or was refused, and none past the deadline.
    #[test]
    fn a_route_ends(
        (local, peer, broker) in any::<(bool, bool, bool)>(),
        verb in prop_oneof![Just(Verb::Cast), Just(Verb::Call), Just(Verb::Send)],
        failures in prop::collection::vec((0..3_u8, 0..400_u64), 0..6),
    ) {
        let mut route = Route::new(verb, Reach { local, peer, broker }, Now::new(Duration::from_millis(1_000)));
        let (mut tried, mut now, mut over) = (Vec::new(), 0, false);
        let mut next = route.begin(Now::ZERO);
        for (failure, passes) in failures {
            if let Next::Try(path) = next {
                prop_assert!(!over && now < 1_000 && !tried.contains(&path));
                prop_assert_eq!(verb == Verb::Send, path == Path::Stream);
                prop_assert!(path != Path::Local || local);
                prop_assert!(path == Path::Local || path == Path::Stream || !local, "it lives here");
                tried.push(path);
            }
            now += passes;
            over |= failure != 0;
            let failure = [Failure::NotSent, Failure::Refused, Failure::Unknown][usize::from(failure)];
            next = route.failed(Now::new(Duration::from_millis(now)), failure);
        }
    }
}

/// A slower one waits, even with fewer messages, when they take longer together.
#[test]
fn latency_counts_where_it_is_known() {
    let slow = Candidate { in_flight: 1, latency: Duration::from_millis(100), ..IDLE };
    let fast = Candidate { in_flight: 9, latency: Duration::from_millis(1), ..IDLE };
    let fresh = Candidate { in_flight: 0, latency: Duration::ZERO, ..IDLE };
    for dice in [0, u64::MAX, 0x1234_5678_9ABC_DEF0] {
        assert_eq!(pick(&[slow, fast], dice), Some(1));
        assert_eq!(pick(&[fast, fresh], dice), Some(1));
    }
}

/// Without any path a message certainly had no effect.
#[test]
fn no_path_is_no_effect() {
    let mut route = Route::new(Verb::Cast, Reach::default(), Now::new(Duration::from_secs(1)));
    assert_eq!(route.begin(Now::ZERO), Next::Stop(Stop::NoPath));
}
