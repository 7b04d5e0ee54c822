//! Permanent, transient, temporary: which ends lead to a restart.

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let one = otp(Strategy::OneForOne);
    let start = |trace| (Step::Start, trace);
    vec![
        case(
            "permanent_crash",
            "a permanent child is restarted when it crashes",
            one,
            vec![permanent("a")],
            vec![start("+a ready"), (crash("a"), "+a"), (Step::Which, "a=up")],
        ),
        case(
            "permanent_normal",
            "a permanent child is restarted when it ends normally",
            one,
            vec![permanent("a")],
            vec![start("+a ready"), (normal("a"), "+a")],
        ),
        case(
            "permanent_shutdown",
            "a permanent child is restarted when it ends with shutdown",
            one,
            vec![permanent("a")],
            vec![start("+a ready"), (shutdown("a"), "+a")],
        ),
        case(
            "permanent_killed",
            "a permanent child is restarted when somebody kills it",
            one,
            vec![permanent("a")],
            vec![start("+a ready"), (Step::Exit("a", Exit::Killed), "+a")],
        ),
        case(
            "permanent_supervisor_gave_up",
            "a permanent supervisor that gave up is restarted by the one above it",
            one,
            vec![ChildSpec::supervisor("s")],
            vec![start("+s ready"), (Step::Exit("s", Exit::GaveUp), "+s")],
        ),
        case(
            "transient_crash",
            "a transient child is restarted when it ends abnormally",
            one,
            vec![transient("a")],
            vec![start("+a ready"), (crash("a"), "+a")],
        ),
        case(
            "transient_killed",
            "to be killed is an abnormal end",
            one,
            vec![transient("a")],
            vec![start("+a ready"), (Step::Exit("a", Exit::Killed), "+a")],
        ),
        case(
            "transient_normal",
            "a transient child that ends normally is not restarted, and its specification is kept",
            one,
            vec![transient("a"), permanent("b")],
            vec![start("+a +b ready"), (normal("a"), ""), (Step::Which, "a=down b=up")],
        ),
        case(
            "transient_shutdown",
            "shutdown is a normal end for a transient child",
            one,
            vec![transient("a")],
            vec![start("+a ready"), (shutdown("a"), ""), (Step::Which, "a=down")],
        ),
        case(
            "transient_supervisor_gave_up",
            "a supervisor that gives up ends with shutdown, so a transient one is not restarted",
            one,
            vec![ChildSpec::supervisor("s").restart(Restart::Transient)],
            vec![start("+s ready"), (Step::Exit("s", Exit::GaveUp), ""), (Step::Which, "s=down")],
        ),
        case(
            "transient_after_normal_can_be_restarted",
            "a transient child that ended normally can be restarted by request",
            one,
            vec![transient("a")],
            vec![
                start("+a ready"),
                (normal("a"), ""),
                (Step::Restart("a"), "+a started"),
                (crash("a"), "+a"),
            ],
        ),
        case(
            "temporary_crash",
            "a temporary child is never restarted, and its specification goes when it ends",
            one,
            vec![temporary("a"), permanent("b")],
            vec![start("+a +b ready"), (crash("a"), ""), (Step::Which, "b=up")],
        ),
        case(
            "temporary_normal",
            "a temporary child that ends normally is forgotten too",
            one,
            vec![temporary("a")],
            vec![
                start("+a ready"),
                (normal("a"), ""),
                (Step::Count, "specs=0 active=0 supervisors=0 workers=0"),
            ],
        ),
        case(
            "temporary_end_is_no_restart",
            "ends of temporary children do not count towards the intensity",
            intensity(one, 0, 10),
            vec![temporary("a"), temporary("b"), permanent("c")],
            vec![start("+a +b +c ready"), (crash("a"), ""), (crash("b"), ""), (Step::Which, "c=up")],
        ),
        case(
            "transient_normal_end_is_no_restart",
            "normal ends of transient children do not count towards the intensity",
            intensity(one, 0, 10),
            vec![transient("a"), permanent("c")],
            vec![start("+a +c ready"), (normal("a"), ""), (Step::Which, "a=down c=up")],
        ),
    ]
}
