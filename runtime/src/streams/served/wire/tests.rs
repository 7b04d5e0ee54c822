//! What is said is read as it was said, and nothing that comes instead of it harms.

use bytes::Bytes;
use connectome_actors::port::{Arrival, Delivery, DeliveryTag, Entry, Stored, StreamError};
use connectome_codecs::{MessageId, Revision, Sequence, UnixMillis};
use proptest::prelude::*;

use super::super::parts::List;
use super::super::refusal::Refusal;
use super::super::said::{Answer, Ask, Begin, Said, Told};
use super::*;

fn rest_of(unit: &Unit) -> Bytes {
    let bytes = [&unit.prefix()[..], &unit.head[..], &unit.bodies.concat()[..]].concat();
    let rest = length([bytes[0], bytes[1], bytes[2], bytes[3]], UNIT_MAX).unwrap();
    assert_eq!(rest, bytes.len() - LENGTH_BYTES);
    Bytes::from(bytes).split_off(LENGTH_BYTES)
}

fn stored() -> impl Strategy<Value = Stored> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    (any::<u64>(), "[a-z.]{1,30}", any::<Option<u128>>(), any::<u64>(), body).prop_map(
        |(sequence, subject, id, at, body)| Stored {
            sequence: Sequence(sequence),
            subject,
            id: id.map(|id| MessageId::from_bytes(id.to_be_bytes())),
            at: UnixMillis(at),
            body: body.into(),
        },
    )
}

fn delivery() -> impl Strategy<Value = Delivery> {
    (stored(), any::<u32>()).prop_map(|(message, attempt)| {
        let tag = DeliveryTag { sequence: message.sequence, attempt };
        Delivery { message, attempt, tag }
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    ("[a-z/]{1,20}", value, any::<u64>(), any::<u64>()).prop_map(|(key, value, revision, at)| Entry {
        key,
        value: value.map(Bytes::from),
        revision: Revision(revision),
        at: UnixMillis(at),
    })
}

fn list() -> impl Strategy<Value = List> {
    prop_oneof![
        prop::collection::vec(stored(), 1..600).prop_map(List::Messages),
        prop::collection::vec(delivery(), 1..20).prop_map(List::Deliveries),
        prop::collection::vec(entry(), 1..20).prop_map(List::Entries),
        prop::collection::vec("[a-z]{1,9}", 1..600).prop_map(List::Names),
        any::<u64>().prop_map(|from| List::Arrivals(vec![Arrival::Missed { from: Sequence(from) }])),
    ]
}

/// What goes out in parts comes in as it was.
fn there_and_back(list: List) -> List {
    let joined = list.cut().into_iter().enumerate().map(|(id, (items, bodies))| {
        let unit = Unit::new(&Told::Part { id: id as u64, items }, bodies).unwrap();
        let (told, bodies) = read::<Told>(rest_of(&unit)).unwrap();
        let Told::Part { items, .. } = told else { panic!("a part was said: {told:?}") };
        List::join(items, bodies).unwrap()
    });
    joined.reduce(put_together).unwrap()
}

fn put_together(first: List, more: List) -> List {
    match (first, more) {
        (List::Messages(a), List::Messages(b)) => List::Messages([a, b].concat()),
        (List::Names(a), List::Names(b)) => List::Names([a, b].concat()),
        (a, b) => panic!("parts of one list are of one kind: {a:?}, {b:?}"),
    }
}

proptest! {
    #[test]
    fn lists_come_as_they_went(list in list()) {
        prop_assert_eq!(there_and_back(list.clone()), list);
    }

    #[test]
    fn questions_come_as_they_went(id in any::<u64>(), handle in any::<u32>(), text in ".{0,40}", n in any::<u64>()) {
        let asks = [
            Ask::Publish { stream: text.clone(), subject: text.clone(), id: None, length: 0 },
            Ask::OpenTail { handle, stream: text.clone(), filter: text.clone(), start: Begin::At { sequence: n } },
            Ask::Fetch { handle, max: handle, wait: n },
            Ask::StreamNames,
            Ask::Keys { handle, prefix: text },
        ];
        for ask in asks {
            let said = Said::Ask { id, ask };
            let (read, bodies) = read::<Said>(rest_of(&Unit::bare(&said).unwrap())).unwrap();
            prop_assert_eq!((read, bodies), (said, Bytes::new()));
        }
    }

    #[test]
    fn rubbish_is_refused_and_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = read::<Said>(bytes.clone());
        if let Ok((Told::Part { items, .. }, bodies)) = read::<Told>(bytes) {
            let _ = List::join(items, bodies);
        }
    }

    #[test]
    fn a_unit_with_a_byte_changed_does_no_harm(list in list(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (items, bodies) = list.cut().swap_remove(0);
        let unit = Unit::new(&Told::Part { id: 7, items }, bodies).unwrap();
        let mut bytes = rest_of(&unit).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok((Told::Part { items, .. }, bodies)) = read::<Told>(bytes.into()) {
            let _ = List::join(items, bodies);
        }
    }
}

/// The bytes of the wire, as `docs/wire.md` has them.
#[test]
fn the_bytes_are_frozen() {
    let said = Said::Ask { id: 3, ask: Ask::Count { stream: "S".to_owned(), subject: "s.a".to_owned() } };
    let unit = Unit::bare(&said).unwrap();
    let head = b"\x81\xa3ask\x82\xa2id\x03\xa3ask\x81\xa5count\x82\xa6stream\xa1S\xa7subject\xa3s.a";
    assert_eq!(unit.head, &head[..]);
    assert_eq!(unit.prefix(), [0, 0, 0, 4 + head.len() as u8, 0, 0, 0, head.len() as u8]);
    assert_eq!(Unit::bare(&Said::Ping).unwrap().head, &b"\xa4ping"[..]);
    let done = Told::Done { id: 3, answer: Answer::Number(2) };
    assert_eq!(
        Unit::bare(&done).unwrap().head,
        &b"\x81\xa4done\x82\xa2id\x03\xa6answer\x81\xa6number\x02"[..]
    );
}

/// The largest message fits a unit, with the longest names; a larger one is refused before it leaves.
#[test]
fn the_largest_fits() {
    let ask =
        Ask::Publish { stream: "S".repeat(64), subject: "s".repeat(256), id: None, length: FRAME_MAX as u32 };
    let said = Said::Ask { id: u64::MAX, ask };
    assert!(Unit::new(&said, vec![Bytes::from(vec![0; FRAME_MAX])]).is_ok());
    assert!(Unit::new(&said, vec![Bytes::from(vec![0; FRAME_MAX + 1])]).is_err());
    assert!(length((UNIT_MAX as u32 + 1).to_be_bytes(), UNIT_MAX).is_err());
}

/// Errors keep their words; those of a later version are told in general.
#[test]
fn errors_keep_their_words() {
    let errors = [
        StreamError::NotFound { what: "consumer", name: "c".to_owned() },
        StreamError::Conflict {
            name: "S".to_owned(),
            field: "retention",
            is: "Limits".to_owned(),
            wanted: "WorkQueue".to_owned(),
        },
        StreamError::WrongRevision { key: "k".to_owned(), current: Some(Revision(3)) },
        StreamError::Gap { from: Sequence(1), to: Sequence(2) },
        StreamError::Unknown("why".to_owned()),
    ];
    for error in errors {
        assert_eq!(StreamError::from(Refusal::from(error.clone())), error);
    }
    let later = Refusal::NotFound { what: "galaxy".to_owned(), name: "g".to_owned() };
    assert_eq!(StreamError::from(later).to_string(), "there is no such thing named g");
}
