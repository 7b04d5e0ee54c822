//! Lists of announcements, pure: merged by those who keep them, read by those who look.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use connectome_codecs::{NodeId, UnixMillis};

use super::announcement::{ANNOUNCEMENT_BYTES_MAX, Announcement};
use super::subject::Key;
use crate::transport::libp2p::secret::ClusterSecret;

/// Nodes that one record has, the newest: whoever looks for somebody who can do a thing needs a few.
pub const ANNOUNCEMENTS_PER_KEY_MAX: usize = 16;

/// The longest record.
pub(super) const RECORD_BYTES_MAX: usize = ANNOUNCEMENTS_PER_KEY_MAX * (2 + ANNOUNCEMENT_BYTES_MAX);

/// Nodes that a search answers with, at the most.
pub(super) const FOUND_MAX: usize = 64;

/// What is to be kept after something came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merged {
    /// The record. Empty: nothing is.
    pub(super) value: Vec<u8>,
    /// The moment after which all of it is over.
    pub(super) until: UnixMillis,
    /// Announcements that came and are not believed; one for a list that is none.
    pub(super) refused: usize,
}

/// Adds what came to what was kept, which was checked when it came.
pub(super) fn merge(key: &Key, kept: &[u8], came: &[u8], now: UnixMillis) -> Merged {
    let kept = read(kept).unwrap_or_default();
    let mut newest = Newest::default();
    let mut refused = 0;
    match read(came) {
        Some(came) => {
            for announcement in came {
                // What is kept already need not be checked again, and that is most of it.
                if !kept.contains(&announcement) {
                    match announcement.check(key, now) {
                        Ok(()) => newest.add(announcement),
                        Err(_) => refused += 1,
                    }
                }
            }
        }
        None => refused = 1,
    }
    kept.into_iter().filter(|announcement| !announcement.is_over(now)).for_each(|kept| newest.add(kept));
    let all = newest.sorted(ANNOUNCEMENTS_PER_KEY_MAX);
    let until = all.iter().map(|announcement| announcement.until).max().unwrap_or(now);
    Merged { value: write(&all), until, refused }
}

/// Who has announced a thing, by records that several nodes have answered with: the newest first.
pub(super) fn found(
    key: &Key,
    records: &[Vec<u8>],
    secret: Option<&ClusterSecret>,
    now: UnixMillis,
) -> Vec<Announcement> {
    let mut newest = Newest::default();
    let mut believed: Vec<Announcement> = Vec::new();
    for announcement in records.iter().filter_map(|record| read(record)).flatten() {
        // Several nodes keep the same ones.
        if believed.contains(&announcement) {
            continue;
        }
        let is_member = secret.is_none_or(|secret| announcement.is_of_member(key, secret));
        if is_member && announcement.check(key, now).is_ok() {
            believed.push(announcement.clone());
            newest.add(announcement);
        }
    }
    let mut found = newest.sorted(usize::MAX);
    found.retain(|announcement| !announcement.is_gone);
    found.truncate(FOUND_MAX);
    found
}

/// One announcement as a record.
pub(super) fn of(announcement: &Announcement) -> Vec<u8> {
    write(std::slice::from_ref(announcement))
}

/// The newest announcement of each node.
#[derive(Default)]
struct Newest(BTreeMap<NodeId, Announcement>);

impl Newest {
    fn add(&mut self, announcement: Announcement) {
        let is_newer = |known: &Announcement| announcement.signed_at > known.signed_at;
        if self.0.get(&announcement.node).is_none_or(is_newer) {
            self.0.insert(announcement.node, announcement);
        }
    }

    fn sorted(self, max: usize) -> Vec<Announcement> {
        let mut all: Vec<_> = self.0.into_values().collect();
        all.sort_by_key(|announcement| Reverse(announcement.signed_at));
        all.truncate(max);
        all
    }
}

/// `None`: it is no record.
fn read(value: &[u8]) -> Option<Vec<Announcement>> {
    let mut rest = Bytes::copy_from_slice(value.get(..RECORD_BYTES_MAX.min(value.len()))?);
    if value.len() > RECORD_BYTES_MAX {
        return None;
    }
    let mut all = Vec::new();
    while rest.has_remaining() {
        let length = usize::from(rest.try_get_u16().ok()?);
        if length > rest.len() || all.len() >= ANNOUNCEMENTS_PER_KEY_MAX {
            return None;
        }
        all.push(Announcement::read(rest.split_to(length))?);
    }
    Some(all)
}

fn write(all: &[Announcement]) -> Vec<u8> {
    let mut out = Vec::new();
    for announcement in all {
        out.put_u16(announcement.bytes().len() as u16);
        out.put_slice(announcement.bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::announcement::Said;
    use super::super::announcement::tests::{KEY, NOW, node, said};
    use super::*;

    const LASTS: Duration = Duration::from_secs(300);

    fn signed(by: u8, after: u64) -> Announcement {
        let signed_at = NOW.after(Duration::from_millis(after));
        Announcement::sign(&node(by), &KEY, None, said(signed_at, LASTS))
    }

    fn gone(by: u8, after: u64) -> Announcement {
        let said = Said { is_gone: true, ..said(NOW.after(Duration::from_millis(after)), LASTS) };
        Announcement::sign(&node(by), &KEY, None, said)
    }

    fn nodes(record: &[u8]) -> Vec<(NodeId, UnixMillis)> {
        read(record).unwrap().iter().map(|one| (one.node, one.signed_at)).collect()
    }

    #[test]
    fn the_newest_of_each_node_is_kept() {
        let kept = write(&[signed(1, 0), signed(2, 1)]);
        let merged = merge(&KEY, &kept, &write(&[signed(1, 2), signed(3, 0)]), NOW);
        let [one, two, three] = [1, 2, 3].map(|at| node(at).node_id());
        let at = |millis| NOW.after(Duration::from_millis(millis));
        assert_eq!(nodes(&merged.value), [(one, at(2)), (two, at(1)), (three, at(0))]);
        assert_eq!((merged.refused, merged.until), (0, at(2).after(LASTS)));
        // What comes late changes nothing.
        assert_eq!(merge(&KEY, &merged.value, &of(&signed(1, 1)), NOW).value, merged.value);
    }

    #[test]
    fn what_is_over_or_forged_or_no_list_is_left() {
        let kept = of(&signed(1, 0));
        let over = NOW.after(LASTS);
        assert_eq!(merge(&KEY, &kept, &[], over).value, Vec::<u8>::new());
        assert_eq!(merge(&[8; 32], &[], &kept, NOW).refused, 1);
        let rubbish = merge(&KEY, &kept, &[1, 2, 3], NOW);
        assert_eq!((rubbish.refused, rubbish.value), (1, kept.clone()));
        assert_eq!(merge(&KEY, &kept, &vec![0; RECORD_BYTES_MAX + 1], NOW).refused, 1);
    }

    #[test]
    fn a_record_has_a_bound_and_the_newest_stay() {
        let mut value = Vec::new();
        for by in 0..40 {
            value = merge(&KEY, &value, &of(&signed(by, u64::from(by))), NOW).value;
        }
        let kept = nodes(&value);
        assert_eq!(kept.len(), ANNOUNCEMENTS_PER_KEY_MAX);
        assert_eq!(kept[0].0, node(39).node_id());
        assert!(value.len() <= RECORD_BYTES_MAX);
    }

    /// Whoever takes back what it announced is not found, also where somebody still has the older announcement.
    #[test]
    fn who_is_gone_is_not_found() {
        let records = [of(&gone(1, 5)), write(&[signed(1, 0), signed(2, 0)])];
        let found = found(&KEY, &records, None, NOW);
        assert_eq!(found.iter().map(|one| one.node).collect::<Vec<_>>(), [node(2).node_id()]);
    }

    /// A cluster with a secret finds its members alone.
    #[test]
    fn strangers_are_not_found_in_a_cluster_with_a_secret() {
        let secret = ClusterSecret::new(&[7; 32]).unwrap();
        let member = Announcement::sign(&node(1), &KEY, Some(&secret), said(NOW, LASTS));
        let records = [write(&[member, signed(2, 0)])];
        let found = found(&KEY, &records, Some(&secret), NOW);
        assert_eq!(found.iter().map(|one| one.node).collect::<Vec<_>>(), [node(1).node_id()]);
    }

    proptest! {
        /// In whatever order announcements come, the same record is kept.
        #[test]
        fn order_does_not_matter(
            came in proptest::collection::vec((1..12_u8, 0..6_u64, any::<bool>()), 0..20),
            seed in any::<proptest::sample::Index>(),
        ) {
            let all: Vec<_> = came.iter().map(|(by, after, is_gone)| {
                // One node says one thing at a time.
                let after = after * 2 + u64::from(*is_gone);
                if *is_gone { gone(*by, after) } else { signed(*by, after) }
            }).collect();
            let keep = |all: &[Announcement]| {
                let kept = all.iter().fold(Vec::new(), |kept, one| merge(&KEY, &kept, &of(one), NOW).value);
                nodes(&kept).into_iter().collect::<std::collections::BTreeSet<_>>()
            };
            let mut turned = all.clone();
            if !all.is_empty() {
                turned.rotate_left(seed.index(all.len()));
                turned.reverse();
            }
            prop_assert_eq!(keep(&all), keep(&turned));
        }
    }
}
