//! one_for_one, one_for_all, rest_for_one: who else is restarted.

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let (one, all, rest) = (otp(Strategy::OneForOne), otp(Strategy::OneForAll), otp(Strategy::RestForOne));
    let start = |trace| (Step::Start, trace);
    let abc = || vec![permanent("a"), permanent("b"), permanent("c")];
    vec![
        case(
            "one_for_one_restarts_one",
            "only the child that ended is restarted",
            one,
            abc(),
            vec![start("+a +b +c ready"), (crash("b"), "+b"), (Step::Which, "a=up b=up c=up")],
        ),
        case(
            "one_for_all_restarts_all",
            "the others are stopped in reverse order, then all are started in order",
            all,
            abc(),
            vec![start("+a +b +c ready"), (crash("b"), "-c -a +a +b +c")],
        ),
        case(
            "one_for_all_first",
            "it does not matter which child ended",
            all,
            abc(),
            vec![start("+a +b +c ready"), (crash("a"), "-c -b +a +b +c")],
        ),
        case(
            "one_for_all_transient_normal",
            "an end that leads to no restart leaves the others alone",
            all,
            vec![permanent("a"), transient("b"), permanent("c")],
            vec![start("+a +b +c ready"), (normal("b"), ""), (Step::Which, "a=up b=down c=up")],
        ),
        case(
            "one_for_all_restarts_transient_siblings",
            "a transient sibling is restarted with the others",
            all,
            vec![permanent("a"), transient("b")],
            vec![start("+a +b ready"), (crash("a"), "-b +a +b")],
        ),
        case(
            "one_for_all_starts_ended_siblings",
            "a sibling that had ended for good, but is still known, is started with the others",
            all,
            vec![permanent("a"), transient("b")],
            vec![start("+a +b ready"), (normal("b"), ""), (crash("a"), "+a +b")],
        ),
        case(
            "one_for_all_starts_terminated_siblings",
            "a sibling that was terminated by request is started with the others",
            all,
            abc(),
            vec![start("+a +b +c ready"), (Step::Terminate("c"), "-c ok"), (crash("a"), "-b +a +b +c")],
        ),
        case(
            "one_for_all_drops_temporary_siblings",
            "a temporary sibling is stopped with the others and not started again",
            all,
            vec![permanent("a"), temporary("t"), permanent("c")],
            vec![start("+a +t +c ready"), (crash("a"), "-c -t +a +c"), (Step::Which, "a=up c=up")],
        ),
        case(
            "one_for_all_temporary_end",
            "the end of a temporary child leaves the others alone",
            all,
            vec![permanent("a"), temporary("t")],
            vec![start("+a +t ready"), (crash("t"), ""), (Step::Which, "a=up")],
        ),
        case(
            "one_for_all_start_failure_tries_all_again",
            "when a start fails while restarting, all are stopped and started again",
            all,
            abc(),
            vec![
                start("+a +b +c ready"),
                (Step::FailStarts("b", 1), ""),
                (crash("a"), "-c -b +a !b -a +a +b +c"),
                (Step::Which, "a=up b=up c=up"),
            ],
        ),
        case(
            "one_for_all_ignored_restart",
            "a child that declines to be restarted is kept, down, and the others go on",
            all,
            abc(),
            vec![
                start("+a +b +c ready"),
                (Step::IgnoreStarts("b", 1), ""),
                (crash("a"), "-c -b +a ~b +c"),
                (Step::Which, "a=up b=down c=up"),
            ],
        ),
        case(
            "rest_for_one_restarts_the_rest",
            "those started after it are stopped in reverse order, then it and they are started in order",
            rest,
            vec![permanent("a"), permanent("b"), permanent("c"), permanent("d")],
            vec![start("+a +b +c +d ready"), (crash("b"), "-d -c +b +c +d")],
        ),
        case(
            "rest_for_one_first",
            "the first child takes all others with it",
            rest,
            abc(),
            vec![start("+a +b +c ready"), (crash("a"), "-c -b +a +b +c")],
        ),
        case(
            "rest_for_one_last",
            "the last child takes nobody with it",
            rest,
            abc(),
            vec![start("+a +b +c ready"), (crash("c"), "+c")],
        ),
        case(
            "rest_for_one_drops_temporary_rest",
            "temporary children among the rest are stopped and not started again; those before it are untouched",
            rest,
            vec![temporary("t"), permanent("b"), temporary("u"), permanent("d")],
            vec![start("+t +b +u +d ready"), (crash("b"), "-d -u +b +d"), (Step::Which, "t=up b=up d=up")],
        ),
        case(
            "rest_for_one_start_failure_of_the_one",
            "a start failure while restarting is tried again from the child that failed",
            rest,
            abc(),
            vec![start("+a +b +c ready"), (Step::FailStarts("b", 2), ""), (crash("b"), "-c !b !b +b +c")],
        ),
        case(
            "rest_for_one_start_failure_of_a_later_one",
            "when a later child fails to start, the retry begins with that one",
            rest,
            abc(),
            vec![start("+a +b +c ready"), (Step::FailStarts("c", 1), ""), (crash("a"), "-c -b +a +b !c +c")],
        ),
        case(
            "rest_for_one_added_child_is_last",
            "a child that was added later comes last in the start order",
            rest,
            abc(),
            vec![
                start("+a +b +c ready"),
                (Step::Add(permanent("d")), "+d started"),
                (crash("c"), "-d +c +d"),
            ],
        ),
        case(
            "one_for_one_start_failure_is_tried_again",
            "a start failure while restarting is tried again until it succeeds or the intensity is met",
            one,
            abc(),
            vec![start("+a +b +c ready"), (Step::FailStarts("b", 3), ""), (crash("b"), "!b !b !b +b")],
        ),
        case(
            "one_for_one_ignored_restart",
            "a child that declines to be restarted is kept, down",
            one,
            vec![permanent("a")],
            vec![
                start("+a ready"),
                (Step::IgnoreStarts("a", 1), ""),
                (crash("a"), "~a"),
                (Step::Which, "a=down"),
            ],
        ),
    ]
}
