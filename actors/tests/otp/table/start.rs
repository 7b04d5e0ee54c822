//! Starting a supervisor.

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let one = otp(Strategy::OneForOne);
    vec![
        case(
            "start_in_order",
            "children are started from the first to the last",
            one,
            vec![permanent("a"), permanent("b"), permanent("c")],
            vec![(Step::Start, "+a +b +c ready"), (Step::Which, "a=up b=up c=up")],
        ),
        case(
            "start_empty",
            "a supervisor may have no children",
            one,
            vec![],
            vec![(Step::Start, "ready"), (Step::Count, "specs=0 active=0 supervisors=0 workers=0")],
        ),
        case(
            "start_failure_stops_the_started",
            "when a start fails, those already started are stopped in reverse order and the supervisor ends",
            one,
            vec![permanent("a"), permanent("b"), permanent("c"), permanent("d")],
            vec![(Step::FailStarts("c", 1), ""), (Step::Start, "+a +b !c -b -a end:start_failed")],
        ),
        case(
            "start_failure_is_not_retried",
            "a failed start of the supervisor does not count as a restart: nothing is tried again",
            one,
            vec![permanent("a")],
            vec![
                (Step::FailStarts("a", 1), ""),
                (Step::Start, "!a end:start_failed"),
                (Step::Advance(60_000), ""),
            ],
        ),
        case(
            "start_failure_of_temporary",
            "a start failure of any kind of child stops the start",
            one,
            vec![permanent("a"), temporary("b")],
            vec![(Step::FailStarts("b", 1), ""), (Step::Start, "+a !b -a end:start_failed")],
        ),
        case(
            "start_ignored_is_kept",
            "a child that declines to start is kept as a specification, and the start goes on",
            one,
            vec![permanent("a"), permanent("b")],
            vec![
                (Step::IgnoreStarts("a", 1), ""),
                (Step::Start, "~a +b ready"),
                (Step::Which, "a=down b=up"),
            ],
        ),
        case(
            "start_ignored_temporary_is_dropped",
            "a temporary child that declines to start is not kept",
            one,
            vec![temporary("a"), permanent("b")],
            vec![(Step::IgnoreStarts("a", 1), ""), (Step::Start, "~a +b ready"), (Step::Which, "b=up")],
        ),
        case(
            "start_duplicate_ids",
            "child identifiers are unique",
            one,
            vec![permanent("a"), permanent("a")],
            vec![(Step::Start, "invalid")],
        ),
        case(
            "start_significant_needs_auto_shutdown",
            "a significant child is invalid where auto-shutdown is never",
            one,
            vec![transient("a").significant()],
            vec![(Step::Start, "invalid")],
        ),
        case(
            "start_significant_permanent",
            "a permanent child can't be significant",
            auto(one, AutoShutdown::AnySignificant),
            vec![permanent("a").significant()],
            vec![(Step::Start, "invalid")],
        ),
        case(
            "start_counts_kinds",
            "workers and supervisors are counted apart",
            one,
            vec![permanent("a"), ChildSpec::supervisor("s"), permanent("b")],
            vec![(Step::Start, "+a +s +b ready"), (Step::Count, "specs=3 active=3 supervisors=1 workers=2")],
        ),
    ]
}
