//! Stopping a supervisor.

use connectome_actors::protocol::restart::StopWithin;

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let one = otp(Strategy::OneForOne);
    let start = |trace| (Step::Start, trace);
    vec![
        case(
            "shutdown_in_reverse",
            "children are stopped from the last to the first",
            one,
            vec![permanent("a"), permanent("b"), permanent("c")],
            vec![start("+a +b +c ready"), (Step::Shutdown, "-c -b -a end:shutdown")],
        ),
        case(
            "shutdown_in_reverse_of_additions",
            "children that were added later are stopped first",
            one,
            vec![permanent("a"), permanent("b")],
            vec![
                start("+a +b ready"),
                (Step::Add(permanent("c")), "+c started"),
                (Step::Shutdown, "-c -b -a end:shutdown"),
            ],
        ),
        case(
            "shutdown_order_survives_restarts",
            "a restarted child keeps its place in the stop order",
            one,
            vec![permanent("a"), permanent("b"), permanent("c")],
            vec![start("+a +b +c ready"), (crash("a"), "+a"), (Step::Shutdown, "-c -b -a end:shutdown")],
        ),
        case(
            "shutdown_skips_the_stopped",
            "children that do not run are not stopped",
            one,
            vec![permanent("a"), transient("b"), permanent("c")],
            vec![start("+a +b +c ready"), (normal("b"), ""), (Step::Shutdown, "-c -a end:shutdown")],
        ),
        case(
            "shutdown_brutal_kill",
            "a child with no time to stop is killed at once",
            one,
            vec![permanent("a"), permanent("b").stop_within(StopWithin::Kill)],
            vec![start("+a +b ready"), (Step::Shutdown, "xb -a end:shutdown")],
        ),
        case(
            "shutdown_past_the_deadline",
            "a child that does not stop in time is killed, and the next is stopped",
            one,
            vec![permanent("a"), permanent("b").stop_within(StopWithin::Time(Duration::from_millis(100)))],
            vec![start("+a +b ready"), (Step::Hang("b"), ""), (Step::Shutdown, "xb -a end:shutdown")],
        ),
        case(
            "shutdown_while_restarting",
            "a supervisor that is stopped while a child waits to be restarted does not restart it",
            waiting(one),
            vec![permanent("a"), permanent("b")],
            vec![
                start("+a +b ready"),
                (crash("a"), "+a"),
                (crash("a"), ""),
                (Step::Shutdown, "-b end:shutdown"),
                (Step::Advance(60_000), ""),
            ],
        ),
        case(
            "terminate_brutal_kill",
            "a child with no time to stop is killed when terminated",
            one,
            vec![permanent("a").stop_within(StopWithin::Kill)],
            vec![start("+a ready"), (Step::Terminate("a"), "xa ok"), (Step::Which, "a=down")],
        ),
        case(
            "terminate_past_the_deadline",
            "a child that does not stop in time is killed; the request succeeds",
            one,
            vec![permanent("a").stop_within(StopWithin::Time(Duration::from_millis(100)))],
            vec![start("+a ready"), (Step::Hang("a"), ""), (Step::Terminate("a"), "xa ok")],
        ),
        case(
            "group_restart_past_the_deadline",
            "a sibling that does not stop in time is killed, and the restart goes on",
            otp(Strategy::OneForAll),
            vec![permanent("a"), permanent("b").stop_within(StopWithin::Time(Duration::from_millis(100)))],
            vec![start("+a +b ready"), (Step::Hang("b"), ""), (crash("a"), "xb +a +b")],
        ),
    ]
}
