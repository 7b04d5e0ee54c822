//! simple_one_for_one: children come and go.

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let dynamic = otp(Strategy::Dynamic);
    let start = || (Step::Start, "ready");
    vec![
        case(
            "dynamic_starts_empty",
            "a dynamic supervisor starts without children",
            dynamic,
            vec![],
            vec![start(), (Step::Which, "")],
        ),
        case(
            "dynamic_restarts_one",
            "only the child that ended is restarted",
            dynamic,
            vec![],
            vec![
                start(),
                (Step::Add(permanent("a")), "+a started"),
                (Step::Add(permanent("b")), "+b started"),
                (crash("a"), "+a"),
                (Step::Which, "a=up b=up"),
            ],
        ),
        case(
            "dynamic_transient_normal",
            "a transient child that ends normally is forgotten, and its name is free",
            dynamic,
            vec![],
            vec![
                start(),
                (Step::Add(transient("a")), "+a started"),
                (normal("a"), ""),
                (Step::Which, ""),
                (Step::Add(transient("a")), "+a started"),
            ],
        ),
        case(
            "dynamic_temporary",
            "a temporary child that ends is forgotten",
            dynamic,
            vec![],
            vec![start(), (Step::Add(temporary("a")), "+a started"), (crash("a"), ""), (Step::Which, "")],
        ),
        case(
            "dynamic_start_failure",
            "a child that can't be started is not added",
            dynamic,
            vec![],
            vec![
                start(),
                (Step::FailStarts("a", 1), ""),
                (Step::Add(permanent("a")), "!a start_failed"),
                (Step::Which, ""),
            ],
        ),
        case(
            "dynamic_ignored",
            "a child that declines to start is not added",
            dynamic,
            vec![],
            vec![
                start(),
                (Step::IgnoreStarts("a", 1), ""),
                (Step::Add(permanent("a")), "~a ignored"),
                (Step::Which, ""),
            ],
        ),
        case(
            "dynamic_terminate",
            "a terminated child is forgotten",
            dynamic,
            vec![],
            vec![
                start(),
                (Step::Add(permanent("a")), "+a started"),
                (Step::Terminate("a"), "-a ok"),
                (Step::Which, ""),
                (Step::Terminate("a"), "not_found"),
            ],
        ),
        case(
            "dynamic_restart_child",
            "restart by request makes no sense for dynamic children",
            dynamic,
            vec![],
            vec![start(), (Step::Add(permanent("a")), "+a started"), (Step::Restart("a"), "dynamic")],
        ),
        case(
            "dynamic_delete_child",
            "deletion makes no sense for dynamic children",
            dynamic,
            vec![],
            vec![start(), (Step::Add(permanent("a")), "+a started"), (Step::Delete("a"), "dynamic")],
        ),
        case(
            "dynamic_restart_failure_is_tried_again",
            "a start failure while restarting is tried again and counts",
            intensity(dynamic, 2, 10),
            vec![],
            vec![
                start(),
                (Step::Add(permanent("a")), "+a started"),
                (Step::Add(permanent("b")), "+b started"),
                (Step::FailStarts("a", 9), ""),
                (crash("a"), "!a !a -b end:gave_up"),
            ],
        ),
        case(
            "dynamic_intensity",
            "too many restarts end a dynamic supervisor and all its children",
            intensity(dynamic, 1, 10),
            vec![],
            vec![
                start(),
                (Step::Add(permanent("a")), "+a started"),
                (Step::Add(permanent("b")), "+b started"),
                (crash("a"), "+a"),
                (crash("b"), "-a end:gave_up"),
            ],
        ),
        case(
            "dynamic_all_significant",
            "auto-shutdown applies when the last significant dynamic child has ended",
            auto(dynamic, AutoShutdown::AllSignificant),
            vec![],
            vec![
                start(),
                (Step::Add(temporary("a").significant()), "+a started"),
                (Step::Add(temporary("b").significant()), "+b started"),
                (normal("a"), ""),
                (crash("b"), "end:shutdown"),
            ],
        ),
        case(
            "dynamic_shutdown",
            "dynamic children are stopped at the same time",
            dynamic,
            vec![],
            vec![
                start(),
                (Step::Add(permanent("b")), "+b started"),
                (Step::Add(permanent("a")), "+a started"),
                (Step::Shutdown, "-a -b end:shutdown"),
            ],
        ),
        case(
            "dynamic_count",
            "each dynamic child counts",
            dynamic,
            vec![],
            vec![
                start(),
                (Step::Add(permanent("a")), "+a started"),
                (Step::Add(permanent("b")), "+b started"),
                (Step::Count, "specs=2 active=2 supervisors=0 workers=2"),
            ],
        ),
    ]
}
