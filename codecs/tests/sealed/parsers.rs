//! Arbitrary bytes never panic a reader of `cxr/1`, and what is kept at rest is read whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connectome_codecs::group::{GroupId, GroupKeys, GroupSender, Roster};
use connectome_codecs::identity::{
    Bundle, Certificate, IdentityLog, InstanceKeys, OneTimePrekey, Pins, PoolKeys, PoolPrekey, Prekeys,
};
use connectome_codecs::seal::PoolMessage;
use connectome_codecs::session::{ReplayWindow, Request, Session};
use connectome_codecs::signature::Evidence;
use proptest::prelude::*;

use crate::sealed::cast::{Actor, DAY, NOW, Seeded, agent_id, bits, context, flip, two};

/// Every reader, on any bytes.
fn read_all(bob: &Actor, bytes: &Bytes) {
    let directory = BTreeMap::new();
    let (window, pins) = (ReplayWindow::new(DAY), &mut Pins::default());
    let _ = bob.open_in(bytes, "c").is_ok();
    let _ = Certificate::verify(bytes.clone(), None, NOW).is_ok();
    let _ = Bundle::verify(bytes.clone(), None, NOW).is_ok();
    let _ = IdentityLog::verify(bytes.clone()).is_ok();
    let _ = OneTimePrekey::verify(bytes.clone(), bob.instance.certificate()).is_ok();
    let _ = PoolPrekey::verify(bytes.clone(), None, NOW).is_ok();
    let _ = Roster::verify(bytes.clone(), agent_id(&bob.agent), &directory, pins, NOW).is_ok();
    let _ = PoolMessage::open(&PoolKeys::new(), bytes, &context("c"), &window, &directory, NOW).is_ok();
    let _ = Request::open(bob.receiver(), bytes, &window, NOW).is_ok();
    let _ = Evidence::decode(bytes).is_ok();
    let _ = Session::decode(bytes).is_ok();
    let _ = Prekeys::decode(bytes).is_ok();
    let _ = PoolKeys::decode(bytes).is_ok();
    let _ = Pins::decode(bytes).is_ok();
    let _ = ReplayWindow::decode(bytes).is_ok();
    let _ = GroupKeys::decode(bytes).is_ok();
    let _ = GroupSender::decode(bytes).is_ok();
    let _ = InstanceKeys::decode(bytes).is_some();
}

/// One of each form, as it is sealed or kept.
fn forms() -> Vec<Bytes> {
    let (mut ada, mut bob) = two();
    let sealed = ada.seal(bob.peer(), "sealed");
    let evidence = bob.open(&sealed).unwrap().evidence.unwrap().encode();
    let members = BTreeSet::from([agent_id(&ada.agent)]);
    let roster = Roster::issue(&ada.instance, GroupId([5; 16]), 1, members).unwrap();
    let sender = GroupSender::begin(&ada.instance, &roster, NOW, &mut Seeded(1));
    let mut groups = GroupKeys::new(GroupId([5; 16]));
    groups.accept(&sender.distribution(), ada.instance.certificate(), &roster, NOW).unwrap();
    let mut pins = Pins::default();
    pins.admit(&bob.bundle, NOW).unwrap();
    let mut window = ReplayWindow::new(DAY);
    window.take([1; 16], NOW, NOW).unwrap();
    let mut pools = PoolKeys::new();
    pools.rotate(&ada.agent, &"pool".parse().unwrap(), true, DAY, NOW, &mut Seeded(2));
    let kept = [
        sealed.bytes.to_vec(),
        evidence,
        bob.session(ada.peer()).encode().to_vec(),
        bob.prekeys.encode().to_vec(),
        pools.encode().to_vec(),
        pins.encode(),
        window.encode(),
        groups.encode().to_vec(),
        sender.encode().to_vec(),
        roster.bytes().to_vec(),
    ];
    kept.into_iter().map(Bytes::from).collect()
}

/// What is kept, with a bit changed, cut anywhere, or with a further byte, panics nobody.
#[test]
fn damaged_forms_panic_nobody() {
    let bob = Actor::new("bob", 2);
    for form in forms() {
        bits(&form).step_by(5).for_each(|bit| read_all(&bob, &flip(&form, bit)));
        (0..form.len()).step_by(11).for_each(|length| read_all(&bob, &form.slice(..length)));
        read_all(&bob, &Bytes::from([&form[..], &[0xc0]].concat()));
    }
}

proptest! {
    /// Any bytes panic nobody, also behind the beginning of something that is known.
    #[test]
    fn any_bytes_panic_nobody(head in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let bob = Actor::new("bob", 2);
        let heads: [&[u8]; 4] = [&[], &[1, 1, 1, 1], &[1, 2, 0, 2], &[0x92, 0xc4, 0x40, 0x98, 1]];
        read_all(&bob, &Bytes::from([heads[head], &bytes].concat()));
    }
}
