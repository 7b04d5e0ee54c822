//! Hearing of what arrives.

use std::collections::BTreeSet;

use super::bench::*;

async fn listen(bench: &Bench, filter: &str) -> Box<dyn Arrivals> {
    let mut arrivals = bench.streams.arrivals("S").await.unwrap();
    arrivals.listen(filter).await.unwrap();
    arrivals
}

/// The next message that is told of, also where the listener has to look for it.
async fn heard(bench: &Bench, arrivals: &mut dyn Arrivals) -> (String, Sequence) {
    loop {
        match arrivals.next().await.unwrap() {
            Arrival::Stored { subject, sequence } => return (subject, sequence),
            Arrival::Missed { from } => {
                let missed = bench.streams.read("S", ">", from, 1).await.unwrap();
                if let Some(stored) = missed.into_iter().next() {
                    return (stored.subject, stored.sequence);
                }
            }
            Arrival::Anew => panic!("the stream was not made again"),
        }
    }
}

pub(super) async fn it_hears_of_what_is_stored_from_now_on(bench: Bench) {
    bench.queue().await;
    bench.put("s.before", "1").await;
    let mut arrivals = listen(&bench, ">").await;
    let sequence = bench.put("s.after", "2").await;
    assert_eq!(heard(&bench, &mut *arrivals).await, ("s.after".to_owned(), Sequence(sequence)));
}

pub(super) async fn what_it_hears_of_can_be_read(bench: Bench) {
    bench.queue().await;
    let mut arrivals = listen(&bench, ">").await;
    for round in 1..=20 {
        let body = round.to_string();
        let put = bench.put("s.a", &body);
        let ((subject, sequence), _) = tokio::join!(biased; heard(&bench, &mut *arrivals), put);
        let read = bench.streams.read("S", &subject, sequence, 1).await.unwrap();
        assert_eq!(text(&read[0].body), body);
    }
}

pub(super) async fn it_hears_what_its_filters_match(bench: Bench) {
    bench.limits().await;
    let mut arrivals = listen(&bench, "s.*.x").await;
    arrivals.listen("s.b.*").await.unwrap();
    for subject in ["s.a", "s.a.x", "s.b.y", "s.a.x"] {
        bench.put(subject, subject).await;
    }
    let mut told = BTreeSet::new();
    while !told.is_superset(&["s.a.x".to_owned(), "s.b.y".to_owned()].into()) {
        told.insert(heard(&bench, &mut *arrivals).await.0);
    }
}

pub(super) async fn it_hears_of_what_it_listens_to_later(bench: Bench) {
    bench.queue().await;
    let mut arrivals = bench.streams.arrivals("S").await.unwrap();
    bench.put("s.a", "1").await;
    arrivals.listen("s.b").await.unwrap();
    bench.put("s.b", "2").await;
    while heard(&bench, &mut *arrivals).await.0 != "s.b" {}
}

pub(super) async fn a_duplicate_is_not_heard_of_as_new(bench: Bench) {
    bench.limits().await;
    let mut arrivals = listen(&bench, ">").await;
    for id in [1, 1, 2] {
        bench.put_id(id, "body").await;
    }
    assert_eq!(heard(&bench, &mut *arrivals).await.1, Sequence(1));
    assert_eq!(heard(&bench, &mut *arrivals).await.1, Sequence(2));
}

pub(super) async fn a_dropped_wait_loses_nothing(bench: Bench) {
    bench.limits().await;
    let mut arrivals = listen(&bench, ">").await;
    for round in 1..=20 {
        tokio::select! {
            biased;
            arrival = arrivals.next() => panic!("there is nothing yet: {arrival:?}"),
            () = std::future::ready(()) => {}
        }
        bench.put("s.a", "body").await;
        assert_eq!(heard(&bench, &mut *arrivals).await.1, Sequence(round));
    }
}

pub(super) async fn all_of_many_are_heard_of(bench: Bench) {
    const MANY: usize = 500;
    bench.limits().await;
    let mut arrivals = listen(&bench, ">").await;
    bench.put_many(MANY).await;
    let mut told = BTreeSet::new();
    while told.len() < MANY {
        told.insert(heard(&bench, &mut *arrivals).await.1);
    }
    assert_eq!(told.last(), Some(&Sequence(MANY as u64)));
}

pub(super) async fn listeners_do_not_share(bench: Bench) {
    bench.queue().await;
    let (mut one, mut other) = (listen(&bench, ">").await, listen(&bench, ">").await);
    bench.put("s.a", "body").await;
    assert_eq!(heard(&bench, &mut *one).await, heard(&bench, &mut *other).await);
}

pub(super) async fn an_unknown_stream_is_not_found(bench: Bench) {
    assert_not_found(bench.streams.arrivals("S").await.map(drop));
}
