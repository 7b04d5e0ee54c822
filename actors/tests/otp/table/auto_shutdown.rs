//! A supervisor that ends when its significant children have.

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let any = auto(otp(Strategy::OneForOne), AutoShutdown::AnySignificant);
    let all = auto(otp(Strategy::OneForOne), AutoShutdown::AllSignificant);
    let start = |trace| (Step::Start, trace);
    let ab = || vec![transient("a").significant(), transient("b").significant(), permanent("c")];
    vec![
        case(
            "any_significant_normal",
            "any: the normal end of a transient significant child shuts the supervisor down, the rest in reverse order",
            any,
            ab(),
            vec![start("+a +b +c ready"), (normal("a"), "-c -b end:shutdown")],
        ),
        case(
            "any_significant_crash_is_restarted",
            "any: a transient significant child that crashes is restarted; nothing shuts down",
            any,
            ab(),
            vec![start("+a +b +c ready"), (crash("a"), "+a")],
        ),
        case(
            "any_significant_temporary_crash",
            "any: a temporary significant child shuts the supervisor down however it ends",
            any,
            vec![temporary("a").significant(), permanent("b")],
            vec![start("+a +b ready"), (crash("a"), "-b end:shutdown")],
        ),
        case(
            "any_insignificant",
            "any: the end of a child that is not significant means nothing",
            any,
            vec![transient("a"), transient("b").significant()],
            vec![start("+a +b ready"), (normal("a"), ""), (Step::Which, "a=down b=up")],
        ),
        case(
            "all_significant_last_one",
            "all: the supervisor shuts down when the last active significant child ends",
            all,
            ab(),
            vec![start("+a +b +c ready"), (normal("a"), ""), (normal("b"), "-c end:shutdown")],
        ),
        case(
            "all_significant_terminated_is_not_active",
            "all: a significant child that was terminated by request is not active",
            all,
            ab(),
            vec![start("+a +b +c ready"), (Step::Terminate("a"), "-a ok"), (normal("b"), "-c end:shutdown")],
        ),
        case(
            "all_significant_temporary",
            "all: temporary significant children count until they end",
            all,
            vec![temporary("a").significant(), temporary("b").significant(), permanent("c")],
            vec![start("+a +b +c ready"), (crash("b"), ""), (normal("a"), "-c end:shutdown")],
        ),
        case(
            "all_significant_restarting_is_active",
            "all: a significant child that is about to be restarted is active",
            waiting(all),
            ab(),
            vec![
                start("+a +b +c ready"),
                (crash("a"), "+a"),
                (crash("a"), ""),
                (normal("b"), ""),
                (Step::Which, "a=restarting b=down c=up"),
                (Step::Advance(1_000), "+a"),
            ],
        ),
        case(
            "any_significant_terminated_by_request",
            "termination by request does not shut the supervisor down",
            any,
            ab(),
            vec![start("+a +b +c ready"), (Step::Terminate("a"), "-a ok"), (Step::Which, "a=down b=up c=up")],
        ),
        case(
            "any_significant_stopped_as_sibling",
            "a significant child that is stopped because of a sibling does not shut the supervisor down",
            auto(otp(Strategy::OneForAll), AutoShutdown::AnySignificant),
            vec![permanent("a"), temporary("b").significant()],
            vec![start("+a +b ready"), (crash("a"), "-b +a"), (Step::Which, "a=up")],
        ),
        case(
            "auto_shutdown_never",
            "never: ends of children do not shut the supervisor down, not even of the last one",
            otp(Strategy::OneForOne),
            vec![transient("a")],
            vec![start("+a ready"), (normal("a"), ""), (Step::Add(permanent("b")), "+b started")],
        ),
        case(
            "add_significant_needs_auto_shutdown",
            "a significant child can't be added where auto-shutdown is never",
            otp(Strategy::OneForOne),
            vec![],
            vec![start("ready"), (Step::Add(transient("a").significant()), "invalid"), (Step::Which, "")],
        ),
    ]
}
