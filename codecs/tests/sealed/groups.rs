//! A group: its members and nobody else, from when they came until they go.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connectome_codecs::group::{
    GROUP_SKIPPED_MAX, GroupId, GroupKeys, GroupSender, MESSAGES_MAX, Roster, SENDERS_MAX,
};
use connectome_codecs::identity::{IdentityLog, Pins};
use connectome_codecs::session::SealError;
use connectome_codecs::{AgentId, Refusal, UnixMillis};

use crate::sealed::cast::{Actor, DAY, NOW, Seeded, agent_id, bits, context, flip};

const GROUP: GroupId = GroupId([5; 16]);

fn roster(owner: &Actor, epoch: u64, members: &[&Actor]) -> Roster {
    let members: BTreeSet<AgentId> = members.iter().map(|member| agent_id(&member.agent)).collect();
    let issued = Roster::issue(&owner.instance, GROUP, epoch, members).unwrap();
    let (owner, pins) = (agent_id(&owner.agent), &mut Pins::default());
    Roster::verify(issued.bytes().clone(), owner, &BTreeMap::new(), pins, NOW).unwrap()
}

fn seal(sender: &mut GroupSender, own: &Actor, text: &str) -> Bytes {
    if sender.needs_reservation() {
        sender.reserve().unwrap();
        let written = sender.encode();
        sender.confirm();
        assert_eq!(sender.encode(), written);
    }
    sender.seal(&own.instance, &context("g"), text.as_bytes(), &mut Seeded(text.len() as u64)).unwrap()
}

fn open(keys: &GroupKeys, bytes: &[u8], roster: &Roster) -> Result<String, Refusal> {
    let opened = keys.open(bytes, &context("g"), roster, &BTreeMap::new())?;
    Ok(String::from_utf8(opened.payload.to_vec()).unwrap())
}

fn read(keys: &mut GroupKeys, bytes: &[u8], roster: &Roster) -> Result<String, Refusal> {
    let opened = keys.open(bytes, &context("g"), roster, &BTreeMap::new())?;
    let written = keys.encode_after(&opened.pending, NOW).unwrap();
    keys.commit(opened.pending, NOW).unwrap();
    assert_eq!(keys.encode(), written, "what is written first is the state afterwards");
    Ok(String::from_utf8(opened.payload.to_vec()).unwrap())
}

struct Cast {
    ada: Actor,
    bob: Actor,
    eve: Actor,
    all: Roster,
    sender: GroupSender,
    bobs: GroupKeys,
}

/// Ada speaks, Bob has her chain, Eve is a member who has not got it yet.
fn cast() -> Cast {
    let (ada, bob, eve) = (Actor::new("ada", 1), Actor::new("bob", 2), Actor::new("eve", 3));
    let all = roster(&ada, 1, &[&ada, &bob, &eve]);
    let mut sender = GroupSender::begin(&ada.instance, &all, NOW, &mut Seeded(4));
    let mut bobs = GroupKeys::new(GROUP);
    bobs.accept(&sender.distribution(), ada.instance.certificate(), &all, NOW).unwrap();
    sender.give(agent_id(&ada.agent));
    sender.give(agent_id(&bob.agent));
    Cast { ada, bob, eve, all, sender, bobs }
}

/// Members open messages in any order, once each; who joins later reads nothing from before.
#[test]
fn members_read_from_when_they_came() {
    let Cast { ada, eve, all, mut sender, mut bobs, .. } = cast();
    let sealed: Vec<Bytes> = (0..70).map(|n| seal(&mut sender, &ada, &n.to_string())).collect();
    assert_eq!(sender.missing(&all).collect::<Vec<_>>(), [agent_id(&eve.agent)]);
    let mut eves = GroupKeys::new(GROUP);
    assert_eq!(open(&eves, &sealed[0], &all), Err(Refusal::UnknownSenderKey));
    eves.accept(&sender.distribution(), ada.instance.certificate(), &all, NOW).unwrap();
    let after = seal(&mut sender, &ada, "after");
    assert_eq!(read(&mut eves, &after, &all).unwrap(), "after");
    for n in [69, 3, 0, 42] {
        assert_eq!(read(&mut bobs, &sealed[n], &all).unwrap(), n.to_string());
        assert_eq!(open(&bobs, &sealed[n], &all), Err(Refusal::Duplicate));
        assert_eq!(open(&eves, &sealed[n], &all), Err(Refusal::KeyEvicted));
    }
    let bobs = GroupKeys::decode(&bobs.encode()).unwrap();
    assert_eq!(open(&bobs, &after, &all).unwrap(), "after");
}

/// After a removal the senders begin new chains, which the one who left does not get; and nobody listens to it.
#[test]
fn who_leaves_reads_and_speaks_no_more() {
    let Cast { ada, bob, eve, all, mut sender, mut bobs } = cast();
    let mut eves = GroupKeys::new(GROUP);
    eves.accept(&sender.distribution(), ada.instance.certificate(), &all, NOW).unwrap();
    sender.give(agent_id(&eve.agent));
    let mut eves_own = GroupSender::begin(&eve.instance, &all, NOW, &mut Seeded(6));
    bobs.accept(&eves_own.distribution(), eve.instance.certificate(), &all, NOW).unwrap();
    assert!(!sender.is_over(&all, NOW));

    let rest = roster(&ada, 2, &[&ada, &bob]);
    assert!(sender.is_over(&rest, NOW), "Eve has this chain");
    let mut next = GroupSender::begin(&ada.instance, &rest, NOW, &mut Seeded(7));
    bobs.accept(&next.distribution(), ada.instance.certificate(), &rest, NOW).unwrap();
    let secret = seal(&mut next, &ada, "without Eve");
    assert_eq!(read(&mut bobs, &secret, &rest).unwrap(), "without Eve");
    assert_eq!(open(&eves, &secret, &all), Err(Refusal::UnknownSenderKey));
    let speech = seal(&mut eves_own, &eve, "I am still here");
    assert_eq!(open(&bobs, &speech, &rest), Err(Refusal::NotAMember));
    assert_eq!(
        bobs.accept(&eves_own.distribution(), eve.instance.certificate(), &rest, NOW),
        Err(Refusal::NotAMember)
    );
    bobs.expire(&rest, DAY, NOW);
    assert_eq!(bobs.len(), 2);
}

/// A member can't speak for another one, though it has the same key.
#[test]
fn members_do_not_speak_for_each_other() {
    let Cast { ada, bob, all, mut sender, bobs, .. } = cast();
    let distribution = sender.distribution();
    let mut others = GroupKeys::new(GROUP);
    assert!(matches!(
        others.accept(&distribution, bob.instance.certificate(), &all, NOW),
        Err(Refusal::IdentityMismatch { .. })
    ));
    let sealed = seal(&mut sender, &ada, "from Ada");
    let mut as_bob = GroupSender::decode(&sender.encode()).unwrap();
    as_bob.reserve().unwrap();
    as_bob.confirm();
    let refused = as_bob.seal(&bob.instance, &context("g"), b"from Ada, says Bob", &mut Seeded(8));
    assert!(matches!(refused, Err(SealError::Peer(Refusal::IdentityMismatch { .. }))));
    for bit in bits(&sealed) {
        assert!(open(&bobs, &flip(&sealed, bit), &all).is_err(), "bit {bit}");
    }
    assert_eq!(open(&bobs, &sealed, &all).unwrap(), "from Ada");
}

/// A member whose certificate was taken back is heard no more.
#[test]
fn revocation_reaches_groups() {
    let Cast { ada, all, mut sender, bobs, .. } = cast();
    let sealed = seal(&mut sender, &ada, "from Ada");
    let log = IdentityLog::begin(&ada.agent, 1, BTreeSet::from([1])).unwrap();
    let directory = BTreeMap::from([(agent_id(&ada.agent), log)]);
    assert_eq!(bobs.open(&sealed, &context("g"), &all, &directory).unwrap_err(), Refusal::Revoked);
}

/// A chain belongs to the epoch that it was given for.
#[test]
fn a_chain_has_one_epoch() {
    let Cast { ada, all, sender, bobs, .. } = cast();
    let mut record = sender.encode().to_vec();
    let group: Vec<u8> = [[0xc4, 16].as_slice(), &GROUP.0].concat();
    let at = record.windows(18).position(|window| window == group).unwrap() + 18;
    assert_eq!(record[at], 1);
    record[at] = 2;
    let mut sender = GroupSender::decode(&record).unwrap();
    let sealed = seal(&mut sender, &ada, "of another epoch");
    assert_eq!(open(&bobs, &sealed, &all), Err(Refusal::IdentityMismatch { what: "epoch" }));
}

/// A sender that crashed goes on behind its reservation; a chain ends after a thousand messages and after a day.
#[test]
fn chains_end() {
    let Cast { ada, all, mut sender, mut bobs, .. } = cast();
    let first = seal(&mut sender, &ada, "first");
    let mut sender = GroupSender::decode(&sender.encode()).unwrap();
    let second = seal(&mut sender, &ada, "second");
    assert_eq!(second[44..48], 64u32.to_be_bytes());
    assert_eq!(read(&mut bobs, &second, &all).unwrap(), "second");
    assert_eq!(read(&mut bobs, &first, &all).unwrap(), "first");
    assert!(sender.is_over(&all, NOW.after(DAY)));
    while !sender.is_over(&all, NOW) {
        seal(&mut sender, &ada, "more");
    }
    assert_eq!(sender.missing(&all).count(), 1);
    let last = seal(&mut sender, &ada, "last");
    assert_eq!(last[44..48], MESSAGES_MAX.to_be_bytes());
}

/// A roster is its owner's, as it was signed, and gets no older.
#[test]
fn a_roster_does_not_get_older() {
    let (ada, bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let (old, new) = (roster(&ada, 1, &[&ada]), roster(&ada, 2, &[&ada, &bob]));
    let mut pins = Pins::default();
    let owner = agent_id(&ada.agent);
    let mut verify = |bytes: Bytes, owner| Roster::verify(bytes, owner, &BTreeMap::new(), &mut pins, NOW);
    assert!(verify(new.bytes().clone(), owner).is_ok());
    assert_eq!(verify(old.bytes().clone(), owner).unwrap_err(), Refusal::RolledBack { what: "roster" });
    assert!(verify(new.bytes().clone(), agent_id(&bob.agent)).is_err());
    for bit in bits(new.bytes()) {
        assert!(verify(flip(new.bytes(), bit), owner).is_err(), "bit {bit}");
    }
}

/// A member that makes chains without end loses its own, and takes no room from others.
#[test]
fn nobody_takes_all_the_room() {
    let Cast { ada, eve, all, mut sender, mut bobs, .. } = cast();
    for n in 0..SENDERS_MAX as u64 + 10 {
        let next = GroupSender::begin(&eve.instance, &all, NOW, &mut Seeded(n));
        let now = UnixMillis(NOW.0 + n);
        bobs.accept(&next.distribution(), eve.instance.certificate(), &all, now).unwrap();
    }
    assert_eq!(bobs.len(), SENDERS_MAX);
    let sealed = seal(&mut sender, &ada, "from Ada");
    assert_eq!(read(&mut bobs, &sealed, &all).unwrap(), "from Ada");
    let mut last = GroupSender::begin(&eve.instance, &all, NOW, &mut Seeded(SENDERS_MAX as u64 + 9));
    let sealed = seal(&mut last, &eve, "the newest of Eve's");
    assert_eq!(read(&mut bobs, &sealed, &all).unwrap(), "the newest of Eve's");
}

/// A chain and a message belong to the group that they were made for.
#[test]
fn a_chain_is_of_one_group() {
    let Cast { ada, all, sender, bobs, .. } = cast();
    let mut others = GroupKeys::new(GroupId([6; 16]));
    let refused = others.accept(&sender.distribution(), ada.instance.certificate(), &all, NOW);
    assert_eq!(refused, Err(Refusal::IdentityMismatch { what: "sender key" }));
    let mut record = sender.encode().to_vec();
    let at = record.windows(16).position(|window| window == GROUP.0).unwrap();
    record[at] ^= 1;
    let mut sender = GroupSender::decode(&record).unwrap();
    let sealed = seal(&mut sender, &ada, "for another group");
    assert_eq!(open(&bobs, &sealed, &all), Err(Refusal::IdentityMismatch { what: "group" }));
}

/// A message that was opened twice is committed once; a chain that no message can need any more goes.
#[test]
fn a_message_is_committed_once_and_a_chain_has_an_end() {
    let Cast { ada, all, mut sender, mut bobs, .. } = cast();
    let sealed = seal(&mut sender, &ada, "once");
    let mut twice =
        [(); 2].map(|()| Some(bobs.open(&sealed, &context("g"), &all, &BTreeMap::new()).unwrap().pending));
    let mut commit = |n: usize| bobs.commit(twice[n].take().unwrap(), NOW);
    assert!(commit(0).is_ok() && commit(1).is_err());
    bobs.expire(&all, DAY, UnixMillis(NOW.after(DAY * 2).0 - 1));
    assert_eq!(bobs.len(), 1);
    bobs.expire(&all, DAY, NOW.after(DAY * 2));
    assert_eq!(bobs.len(), 0);
}

/// Keys for late messages are bounded in all chains together.
#[test]
fn keys_of_late_messages_are_bounded() {
    let Cast { ada, all, mut bobs, .. } = cast();
    for n in 0..11 {
        let mut sender = GroupSender::begin(&ada.instance, &all, NOW, &mut Seeded(100 + n));
        bobs.accept(&sender.distribution(), ada.instance.certificate(), &all, NOW).unwrap();
        for _ in 0..32 {
            sender.reserve().unwrap();
            sender.confirm();
        }
        let mut sender = GroupSender::decode(&sender.encode()).unwrap();
        let ahead = seal(&mut sender, &ada, "2,048 ahead");
        let opened = bobs.open(&ahead, &context("g"), &all, &BTreeMap::new()).unwrap();
        bobs.commit(opened.pending, NOW).unwrap();
    }
    let kept = bobs.encode().len();
    assert!(kept > GROUP_SKIPPED_MAX * 44 && kept < GROUP_SKIPPED_MAX * 44 + 12 * 1024, "{kept}");
}
