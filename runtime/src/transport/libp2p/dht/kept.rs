//! The part of a swarm that keeps records for others, and asks for them.
//!
//! What a stranger can make this node keep is bounded in number, in size and in time, and how many signatures it can make
//! this node check by a budget for each peer.

use std::collections::HashMap;
use std::time::Duration;

use connectome_codecs::UnixMillis;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig, RecordStore};
use libp2p::kad::{
    self, Caching, Config, GetRecordOk, InboundRequest, K_VALUE, Mode, QueryId, QueryResult, Quorum, Record,
    StoreInserts,
};
use libp2p::swarm::StreamProtocol;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::announcement::ANNOUNCED_FOR_MAX;
use super::keeper::FindError;
use super::record::{Merged, RECORD_BYTES_MAX, merge};
use super::subject::Key;
use crate::transport::libp2p::address::is_usable;
use crate::transport::libp2p::addresses::ADDRESSES_PER_NODE_MAX;
use crate::transport::libp2p::floods::{Floods, Verdict};
use crate::transport::libp2p::net::Net;
use crate::transport::libp2p::peer_key::node_of;

/// The protocol of the table.
pub(in crate::transport::libp2p) const KADEMLIA: StreamProtocol = StreamProtocol::new("/connectome/kad/1");

/// Records that a node keeps: at their largest 64 MiB. Where a network has more, its nodes keep those near to them.
pub const RECORDS_MAX: usize = 4_096;

/// Searches and announcements that one node has under way; each asks some twenty nodes.
pub const FINDS_MAX: usize = 64;

/// How long one may take: several hops, with a node that does not answer among them.
const QUERY_MAX: Duration = Duration::from_secs(10);

/// A record, and twenty nodes with their addresses beside it.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// Answers to one search that are read: as many as there are nodes that keep a record.
const ANSWERS_MAX: usize = K_VALUE.get();

/// How often what is over is thrown away.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// libp2p's part.
pub(in crate::transport::libp2p) type Kademlia = kad::Behaviour<MemoryStore>;

/// Makes libp2p's part. Only who can be dialled keeps records for others.
pub(in crate::transport::libp2p) fn kademlia(here: PeerId, can_be_dialled: bool) -> Kademlia {
    let bounds = MemoryStoreConfig {
        max_records: RECORDS_MAX,
        max_value_bytes: RECORD_BYTES_MAX + 1,
        max_provided_keys: 0,
        max_providers_per_key: 0,
    };
    let mut config = Config::new(KADEMLIA);
    config
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_record_ttl(Some(ANNOUNCED_FOR_MAX))
        // Announcements are signed anew by those who made them.
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_caching(Caching::Disabled)
        .set_max_packet_size(PACKET_BYTES_MAX)
        .set_query_timeout(QUERY_MAX)
        .disjoint_query_paths(true);
    let mut kademlia = Kademlia::with_config(here, MemoryStore::with_config(here, bounds), config);
    kademlia.set_mode(Some(if can_be_dialled { Mode::Server } else { Mode::Client }));
    kademlia
}

/// Where the records go that were found.
pub(in crate::transport::libp2p) type Finding = oneshot::Sender<Result<Vec<Vec<u8>>, FindError>>;

/// What is under way, and who has sent how much.
#[derive(Debug)]
pub(in crate::transport::libp2p) struct Kept {
    begun: Instant,
    swept: Instant,
    floods: Floods,
    asked: HashMap<QueryId, Asked>,
}

#[derive(Debug)]
enum Asked {
    Find { records: Vec<Vec<u8>>, reply: Finding },
    Announce { reply: oneshot::Sender<bool> },
}

impl Kept {
    pub(in crate::transport::libp2p) fn new() -> Kept {
        let now = Instant::now();
        Kept { begun: now, swept: now, floods: Floods::default(), asked: HashMap::new() }
    }

    /// Searches the table.
    pub(in crate::transport::libp2p) fn find(&mut self, kademlia: &mut Kademlia, key: Key, reply: Finding) {
        let refused = match (self.asked.len() >= FINDS_MAX, kademlia.kbuckets().next().is_none()) {
            (true, _) => Some(FindError::Busy),
            (false, true) => Some(FindError::Alone),
            (false, false) => None,
        };
        if let Some(refused) = refused {
            // Nobody may wait for it any more.
            return drop(reply.send(Err(refused)));
        }
        let query = kademlia.get_record(kad::RecordKey::new(&key));
        self.asked.insert(query, Asked::Find { records: Vec::new(), reply });
    }

    /// Puts an announcement of this node where others look for it. The answer: whether another node has it.
    pub(in crate::transport::libp2p) fn announce(
        &mut self,
        kademlia: &mut Kademlia,
        (key, record): (Key, Vec<u8>),
        now: UnixMillis,
        reply: oneshot::Sender<bool>,
    ) {
        self.sweep(kademlia);
        let (record, _) = merged(kademlia, &key, &record, now);
        let query = record.filter(|_| self.asked.len() < FINDS_MAX).and_then(|record| {
            let put = kademlia.put_record(record, Quorum::One);
            put.inspect_err(|error| tracing::warn!(%error, "too many records are kept: not announced")).ok()
        });
        match query {
            Some(query) => drop(self.asked.insert(query, Asked::Announce { reply })),
            // Nobody may wait for it any more.
            None => drop(reply.send(false)),
        }
    }

    /// A peer has said where it listens, and that it takes part.
    pub(in crate::transport::libp2p) fn met(
        &self,
        kademlia: &mut Kademlia,
        peer: &PeerId,
        addresses: Vec<Multiaddr>,
    ) {
        for address in addresses.into_iter().filter(is_usable).take(ADDRESSES_PER_NODE_MAX) {
            // Whether the table has room for it is its affair.
            let _ = kademlia.add_address(peer, address);
        }
    }

    /// Takes what the table tells.
    pub(in crate::transport::libp2p) fn told(
        &mut self,
        kademlia: &mut Kademlia,
        net: &Net,
        event: kad::Event,
    ) {
        match event {
            kad::Event::InboundRequest {
                request: InboundRequest::PutRecord { source, record: Some(record), .. },
            } => {
                self.sweep(kademlia);
                self.came(kademlia, net, &source, record);
            }
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.answered(id, result, step.last);
            }
            _ => {}
        }
    }

    /// Somebody wants a record to be kept.
    fn came(&mut self, kademlia: &mut Kademlia, net: &Net, source: &PeerId, record: Record) {
        let budget = node_of(source).map(|node| self.floods.judge(self.begun.elapsed(), node));
        let key: Option<Key> = record.key.as_ref().try_into().ok();
        let (Some(Verdict::Take), Some(key)) = (budget, key) else {
            return net.counts.refuse_announcements(1);
        };
        let (kept, refused) = merged(kademlia, &key, &record.value, net.now());
        net.counts.refuse_announcements(refused);
        if let Some(kept) = kept
            && let Err(error) = kademlia.store_mut().put(kept)
        {
            tracing::debug!(%error, "a record is not kept");
            net.counts.refuse_announcements(1);
        }
    }

    fn answered(&mut self, query: QueryId, result: QueryResult, is_last: bool) {
        if let (
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))),
            Some(Asked::Find { records, .. }),
        ) = (&result, self.asked.get_mut(&query))
            && records.len() < ANSWERS_MAX
        {
            records.push(found.record.value.clone());
        }
        if !is_last {
            return;
        }
        match (self.asked.remove(&query), result) {
            // Nobody may wait for these any more.
            (Some(Asked::Find { records, reply }), _) => drop(reply.send(Ok(records))),
            (Some(Asked::Announce { reply }), QueryResult::PutRecord(put)) => drop(reply.send(put.is_ok())),
            (Some(Asked::Announce { reply }), _) => drop(reply.send(false)),
            // One of the table's own.
            (None, _) => {}
        }
    }

    /// Throws away what is over.
    fn sweep(&mut self, kademlia: &mut Kademlia) {
        let now = Instant::now();
        if now.duration_since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            kademlia.store_mut().retain(|_, record| !record.is_expired(now.into_std()));
        }
    }
}

/// What is to be kept once this came, and how much of it is not believed.
fn merged(kademlia: &mut Kademlia, key: &Key, came: &[u8], now: UnixMillis) -> (Option<Record>, usize) {
    let at = kad::RecordKey::new(key);
    let kept = kademlia.store_mut().get(&at).map(|record| record.into_owned().value).unwrap_or_default();
    let Merged { value, until, refused } = merge(key, &kept, came, now);
    let expires = Instant::now() + until.since(now);
    let record = Record { key: at, value, publisher: None, expires: Some(expires.into_std()) };
    ((!record.value.is_empty()).then_some(record), refused)
}
