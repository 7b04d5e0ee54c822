//! Whatever is signed is refused or kept as it came: certificates, bundles, one-time and pool prekeys, logs, vouchers, rosters,
//! sender keys, evidence.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod cast;

use std::cell::LazyCell;

use bytes::Bytes;
use connectome_codecs::group::{GroupKeys, Roster};
use connectome_codecs::identity::{Bundle, Certificate, IdentityLog, OneTimePrekey, Pins, PoolPrekey, Voucher};
use connectome_codecs::signature::Evidence;
use libfuzzer_sys::fuzz_target;

use cast::NOW;

thread_local! {
    static WORLD: LazyCell<cast::World> = LazyCell::new(cast::World::new);
}

fuzz_target!(|data: &[u8]| WORLD.with(|world| {
    let bytes = Bytes::copy_from_slice(data);
    let certificate = world.ada.instance.certificate();
    let kept = [
        Certificate::verify(bytes.clone(), None, NOW).map(|signed| signed.bytes().clone()),
        Bundle::verify(bytes.clone(), None, NOW).map(|signed| signed.bytes().clone()),
        OneTimePrekey::verify(bytes.clone(), certificate).map(|signed| signed.bytes().clone()),
        PoolPrekey::verify(bytes.clone(), None, NOW).map(|signed| signed.bytes().clone()),
        Voucher::verify(bytes.clone()).map(|signed| signed.bytes().clone()),
        IdentityLog::verify(bytes.clone()).map(|signed| signed.bytes().clone()),
        Roster::verify(bytes.clone(), world.ada.agent(), &world.bob.directory, &mut Pins::default(), NOW)
            .map(|signed| signed.bytes().clone()),
    ];
    kept.into_iter().flatten().for_each(|kept| assert_eq!(kept, bytes));
    let mut keys = GroupKeys::new(world.roster.group());
    let _ = keys.accept(data, certificate, &world.roster, NOW).is_ok();
    if let Ok(evidence) = Evidence::decode(data) {
        assert_eq!(Evidence::decode(&evidence.encode()).expect("what was encoded decodes"), evidence);
        let _ = evidence.verify(&world.bob.directory).is_ok();
    }
}));
