//! Too many restarts within the period end the supervisor.

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let one = otp(Strategy::OneForOne);
    let start = |trace| (Step::Start, trace);
    vec![
        case(
            "intensity_allows_as_many",
            "as many restarts as the intensity says are made",
            intensity(one, 2, 10),
            vec![permanent("a")],
            vec![start("+a ready"), (crash("a"), "+a"), (crash("a"), "+a"), (Step::Which, "a=up")],
        ),
        case(
            "intensity_one_more_ends_it",
            "one more restart within the period and the supervisor stops its children and ends",
            intensity(one, 2, 10),
            vec![permanent("a"), permanent("b"), permanent("c")],
            vec![
                start("+a +b +c ready"),
                (crash("a"), "+a"),
                (crash("a"), "+a"),
                (crash("a"), "-c -b end:gave_up"),
            ],
        ),
        case(
            "intensity_zero",
            "an intensity of 0 allows no restart",
            intensity(one, 0, 10),
            vec![permanent("a"), permanent("b")],
            vec![start("+a +b ready"), (crash("a"), "-b end:gave_up")],
        ),
        case(
            "intensity_is_of_all_children",
            "restarts of all children are counted together",
            intensity(one, 2, 10),
            vec![permanent("a"), permanent("b"), permanent("c")],
            vec![
                start("+a +b +c ready"),
                (crash("a"), "+a"),
                (crash("b"), "+b"),
                (crash("c"), "-b -a end:gave_up"),
            ],
        ),
        case(
            "intensity_forgets",
            "restarts older than the period do not count",
            intensity(one, 1, 10),
            vec![permanent("a")],
            vec![
                start("+a ready"),
                (crash("a"), "+a"),
                (Step::Advance(10_001), ""),
                (crash("a"), "+a"),
                (Step::Advance(10_001), ""),
                (crash("a"), "+a"),
            ],
        ),
        case(
            "intensity_last_instant_counts",
            "a restart counts up to and including the end of its period",
            intensity(one, 1, 10),
            vec![permanent("a")],
            vec![
                start("+a ready"),
                (crash("a"), "+a"),
                (Step::Advance(10_000), ""),
                (crash("a"), "end:gave_up"),
            ],
        ),
        case(
            "intensity_slides",
            "the period is a sliding window, not a grid",
            intensity(one, 2, 10),
            vec![permanent("a")],
            vec![
                start("+a ready"),
                (Step::Advance(9_000), ""),
                (crash("a"), "+a"),
                (crash("a"), "+a"),
                (Step::Advance(2_000), ""),
                (crash("a"), "end:gave_up"),
            ],
        ),
        case(
            "intensity_group_counts_once",
            "restarting a whole group is one restart",
            intensity(otp(Strategy::OneForAll), 1, 10),
            vec![permanent("a"), permanent("b"), permanent("c")],
            vec![start("+a +b +c ready"), (crash("b"), "-c -a +a +b +c"), (crash("c"), "-b -a end:gave_up")],
        ),
        case(
            "intensity_counts_failed_starts",
            "each failed start while restarting is a restart attempt and counts",
            intensity(one, 3, 10),
            vec![permanent("a"), permanent("b")],
            vec![
                start("+a +b ready"),
                (Step::FailStarts("b", 9), ""),
                (crash("b"), "!b !b !b -a end:gave_up"),
            ],
        ),
        case(
            "intensity_counts_failed_group_starts",
            "failed starts within a group restart count alike, and what was started is stopped at the end",
            intensity(otp(Strategy::OneForAll), 2, 10),
            vec![permanent("a"), permanent("b")],
            vec![
                start("+a +b ready"),
                (Step::FailStarts("b", 9), ""),
                (crash("b"), "-a +a !b -a +a !b -a end:gave_up"),
            ],
        ),
        case(
            "intensity_requested_restarts_are_free",
            "a restart by request does not count",
            intensity(one, 0, 10),
            vec![permanent("a")],
            vec![
                start("+a ready"),
                (Step::Terminate("a"), "-a ok"),
                (Step::Restart("a"), "+a started"),
                (Step::Terminate("a"), "-a ok"),
                (Step::Restart("a"), "+a started"),
            ],
        ),
        case(
            "intensity_after_the_end",
            "a supervisor that ended answers no request and starts nothing",
            intensity(one, 0, 10),
            vec![permanent("a"), permanent("b")],
            vec![
                start("+a +b ready"),
                (crash("a"), "-b end:gave_up"),
                (Step::Add(permanent("c")), "ended"),
                (Step::Advance(60_000), ""),
            ],
        ),
    ]
}
