//! The supervisor behaves as Erlang/OTP's does, case by case.
//!
//! `table` holds the cases, independent of what is driven; `pure` drives the protocol with them.

mod pure;
mod table;

use table::Driver;

#[test]
fn the_protocol_conforms_to_the_table() {
    let cases = table::cases();
    assert!(cases.len() >= 70, "the table has only {} cases", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|case| case.run(pure::Pure::new).err()).collect();
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn no_two_cases_have_one_name() {
    let mut names: Vec<_> = table::cases().iter().map(|case| case.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_wrong_expectation_is_reported() {
    let mut case = table::cases().swap_remove(0);
    case.script[0].1 = "+nobody";
    let report = case.run(pure::Pure::new).expect_err("nobody starts nobody");
    assert!(report.contains("+nobody"), "{report}");
}

/// The trait is what another driver implements; naming it here keeps it in use.
const _: fn(&mut pure::Pure, &table::Step) -> String = <pure::Pure as Driver>::step;
