//! What OTP does not have: back-off between restarts, and children that are counted alone.

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let one = otp(Strategy::OneForOne);
    let alone = |flags: Flags, restarts| {
        let intensity = Intensity { restarts, period: Duration::from_secs(10), scope: IntensityScope::Child };
        Flags { intensity, ..flags }
    };
    let start = |trace| (Step::Start, trace);
    vec![
        case(
            "backoff_doubles",
            "the first restart in a quiet spell is immediate, the next ones wait 1 s, 2 s, 4 s",
            waiting(intensity(one, 5, 60)),
            vec![permanent("a")],
            vec![
                start("+a ready"),
                (crash("a"), "+a"),
                (crash("a"), ""),
                (Step::Advance(999), ""),
                (Step::Advance(1), "+a"),
                (crash("a"), ""),
                (Step::Advance(1_999), ""),
                (Step::Advance(1), "+a"),
                (crash("a"), ""),
                (Step::Advance(3_999), ""),
                (Step::Advance(1), "+a"),
            ],
        ),
        case(
            "backoff_forgets",
            "after a quiet period the first restart is immediate again",
            waiting(one),
            vec![permanent("a")],
            vec![
                start("+a ready"),
                (crash("a"), "+a"),
                (crash("a"), ""),
                (Step::Advance(1_000), "+a"),
                (Step::Advance(10_001), ""),
                (crash("a"), "+a"),
            ],
        ),
        case(
            "backoff_stops_the_group_at_once",
            "a group that waits for its restart has been stopped at once",
            waiting(otp(Strategy::OneForAll)),
            vec![permanent("a"), permanent("b")],
            vec![
                start("+a +b ready"),
                (crash("a"), "-b +a +b"),
                (crash("a"), "-b"),
                (Step::Which, "a=restarting b=down"),
                (Step::Advance(1_000), "+a +b"),
            ],
        ),
        case(
            "backoff_of_failed_starts",
            "a failed restart waits before the next",
            waiting(one),
            vec![permanent("a")],
            vec![
                start("+a ready"),
                (Step::FailStarts("a", 2), ""),
                (crash("a"), "!a"),
                (Step::Advance(1_000), "!a"),
                (Step::Advance(2_000), "+a"),
            ],
        ),
        case(
            "alone_gives_up_one",
            "counted alone, a child that needs one restart too many is given up, and its siblings go on",
            alone(one, 1),
            vec![permanent("a"), permanent("b")],
            vec![start("+a +b ready"), (crash("a"), "+a"), (crash("a"), ""), (Step::Which, "a=down b=up")],
        ),
        case(
            "alone_counts_each",
            "counted alone, restarts of one child leave the others their full number",
            alone(one, 1),
            vec![permanent("a"), permanent("b"), permanent("c")],
            vec![
                start("+a +b +c ready"),
                (crash("a"), "+a"),
                (crash("b"), "+b"),
                (crash("c"), "+c"),
                (Step::Which, "a=up b=up c=up"),
            ],
        ),
        case(
            "alone_given_up_can_be_restarted",
            "a child that was given up is known, and can be restarted by request",
            alone(one, 0),
            vec![permanent("a")],
            vec![start("+a ready"), (crash("a"), ""), (Step::Restart("a"), "+a started")],
        ),
        case(
            "alone_dynamic_is_forgotten",
            "a dynamic child that was given up is forgotten",
            alone(otp(Strategy::Dynamic), 0),
            vec![],
            vec![
                start("ready"),
                (Step::Add(permanent("a")), "+a started"),
                (Step::Add(permanent("b")), "+b started"),
                (crash("a"), ""),
                (Step::Which, "b=up"),
            ],
        ),
        case(
            "alone_significant",
            "a significant child that was given up has ended for good",
            auto(alone(one, 0), AutoShutdown::AnySignificant),
            vec![transient("a").significant(), permanent("b")],
            vec![start("+a +b ready"), (crash("a"), "-b end:shutdown")],
        ),
        case(
            "alone_needs_independent_children",
            "children that are restarted together can't be counted alone",
            alone(otp(Strategy::OneForAll), 1),
            vec![permanent("a")],
            vec![(Step::Start, "invalid")],
        ),
    ]
}
