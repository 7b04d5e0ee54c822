//! The same table that the pure protocol passes, driven through real supervisors and real agents on a paused clock.

#[path = "../../actors/tests/otp/table/mod.rs"]
mod table;

mod driver;

/// Every case of the table holds for the actors as for the protocol below them.
#[test]
fn real_supervisors_conform_to_the_table() {
    let cases = table::cases();
    assert!(cases.len() >= 60, "the table has only {} cases", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|case| case.run(driver::Real::new).err()).collect();
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
