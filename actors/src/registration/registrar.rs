//! The registrar: takes registrations from the stream, checks them, and writes those that may stand.
//!
//! Every node has one, and they share one durable consumer: whichever is free decides, and what a dead one had in hand is
//! delivered to another. Two that decide about one name at once are put in order by compare-and-set.

use std::time::Duration;

use connectome_codecs::event::AgentRegistered;
use connectome_codecs::limits::DETAIL_MAX;
use connectome_codecs::registration::{Presence, Refusal, RefusalCode, Registration};
use connectome_codecs::{AgentName, Fact, NodeId};
use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{AGENT_DISCOVERY, ReadRefusal, signing, store};
use crate::port::{Bucket, Consumer, ConsumerConfig, Delivery, Expect, Start, StreamError};
use crate::protocol::registration::{Application, Verdict, Wish, admit};
use crate::router::Router;
use crate::service::Service;

/// Registrations that one registrar has in hand at a time: a group commit's worth.
const BATCH: usize = 128;

/// Those that all registrars together have in hand: eight busy ones.
const IN_HAND_MAX: usize = 8 * BATCH;

/// How long a fetch waits; then it is asked for again.
const FETCH_WAIT: Duration = Duration::from_secs(5);

/// What a registrar that died had in hand is delivered again after this.
const ACK_WAIT: Duration = Duration::from_secs(5);

/// Until a registration of a node that is not heard yet is looked at again.
const LATER: Duration = Duration::from_millis(250);

/// Until one is looked at again that the store did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// Changes of one entry that may lose against others before the registration waits: every loss is another's progress.
const ROUNDS_MAX: usize = 8;

/// Decides about registrations.
pub(crate) struct Registrar {
    pub(crate) router: Router,
}

impl Service for Registrar {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        loop {
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                ended = self.serve() => ended,
            };
            // A store that is away is no reason to end: others register when it is back.
            tracing::debug!(?ended, "registrations can't be had from the store; trying again");
            sleep(AGAIN).await;
        }
    }
}

/// What becomes of a delivery.
enum End {
    Done,
    Later(Duration),
}

impl Registrar {
    fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig {
            name: "registrar".to_owned(),
            filter: store::all_subjects(&self.router),
            start: Start::First,
            ack_wait: ACK_WAIT,
            max_deliver: None,
            max_ack_pending: IN_HAND_MAX,
            backoff: Vec::new(),
        }
    }

    /// Decides about what comes, until the store fails. What it had in hand then is delivered again, and known.
    async fn serve(&self) -> Result<(), StreamError> {
        let bucket = store::bucket(&self.router).await?;
        let consumer = self.router.streams().consumer(AGENT_DISCOVERY, self.consumer()).await?;
        loop {
            let fetched = consumer.fetch(BATCH, FETCH_WAIT).await?;
            join_all(fetched.iter().map(|delivery| self.settle(&*bucket, &*consumer, delivery))).await;
        }
    }

    async fn settle(&self, bucket: &dyn Bucket, consumer: &dyn Consumer, delivery: &Delivery) {
        let end = self.decide(bucket, delivery).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "a registration could not be decided now");
            End::Later(AGAIN)
        });
        let acknowledged = match end {
            End::Done => consumer.ack(delivery.tag).await,
            End::Later(wait) => consumer.nak(delivery.tag, wait).await,
        };
        if let Err(error) = acknowledged {
            // It comes again, and is known then.
            tracing::debug!(%error, "a registration could not be acknowledged");
        }
    }

    async fn decide(&self, bucket: &dyn Bucket, delivery: &Delivery) -> Result<End, StreamError> {
        let Some((wish, name)) = store::read_subject(&delivery.message.subject) else { return Ok(End::Done) };
        let body = &delivery.message.body;
        let opened = match wish {
            Wish::Register | Wish::Refresh => signing::open(&self.router, &name, body),
            Wish::Unregister => signing::open_end(&self.router, &name, body),
        };
        match opened {
            Ok(record) => self.admit(bucket, delivery, wish, &record).await,
            Err(why) => self.refuse(&name, None, code(&why), None, why.to_string()).await,
        }
    }

    /// Decides on what the bucket seems to hold, and again when that was wrong. A new name is seldom taken, so it is tried
    /// before it is read.
    async fn admit(
        &self,
        bucket: &dyn Bucket,
        delivery: &Delivery,
        wish: Wish,
        record: &Registration,
    ) -> Result<End, StreamError> {
        let name = &record.agent.name;
        let mut held = match wish {
            Wish::Register => HeldNow { registration: None, expect: Expect::Absent },
            Wish::Refresh | Wish::Unregister => self.read(bucket, name).await?,
        };
        for _ in 0..ROUNDS_MAX {
            let written = match self.verdict(delivery, wish, record, held.registration.as_ref()) {
                Verdict::Accept => {
                    let value = delivery.message.body.clone();
                    bucket.put(name.as_str(), value, held.expect, Some(record.ttl())).await.map(drop)
                }
                Verdict::Remove => bucket.delete(name.as_str(), held.expect).await,
                Verdict::Known => return Ok(End::Done),
                Verdict::Later => return Ok(End::Later(LATER)),
                Verdict::Refuse { code, holder, detail } => {
                    return self.refuse(name, Some(record), code, holder, detail).await;
                }
            };
            match written {
                Ok(()) => {
                    self.admitted(wish, record, held.registration.as_ref()).await;
                    return Ok(End::Done);
                }
                Err(StreamError::WrongRevision { .. }) => held = self.read(bucket, name).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(End::Later(AGAIN))
    }

    fn verdict(
        &self,
        delivery: &Delivery,
        wish: Wish,
        record: &Registration,
        held: Option<&Registration>,
    ) -> Verdict {
        let standing = self.router.standing(record.node);
        let held = held.map(|held| (held, self.router.standing(held.node)));
        let asked = Application { wish, record, standing, attempt: delivery.attempt, held };
        admit(self.router.now(), asked)
    }

    async fn read(&self, bucket: &dyn Bucket, name: &AgentName) -> Result<HeldNow, StreamError> {
        let Some(entry) = bucket.get(name.as_str()).await? else {
            return Ok(HeldNow { registration: None, expect: Expect::Absent });
        };
        let opened = entry.value.as_ref().map(|value| signing::open_entry(&self.router, &entry.key, value));
        let registration = opened.and_then(|opened| {
            // What can't be believed has no rights.
            opened.inspect_err(|why| self.router.registrations_table().count(|counts| counts.note(why))).ok()
        });
        Ok(HeldNow { registration, expect: Expect::Revision(entry.revision) })
    }

    /// What lives on a node is told of by its node.
    async fn admitted(&self, wish: Wish, record: &Registration, before: Option<&Registration>) {
        self.router.registrations_table().count(|counts| counts.admitted += 1);
        let is_new = before.is_none_or(|before| before.node != record.node);
        if wish == Wish::Register && record.presence == Presence::Agent && is_new {
            let (node, agent) = (record.node, record.agent.clone());
            self.router.say(Fact::AgentRegistered(AgentRegistered { node, agent })).await;
        }
    }

    async fn refuse(
        &self,
        agent: &AgentName,
        record: Option<&Registration>,
        code: RefusalCode,
        holder: Option<NodeId>,
        mut detail: String,
    ) -> Result<End, StreamError> {
        tracing::info!(%agent, %code, detail, "a registration is refused");
        detail.truncate(detail.floor_char_boundary(DETAIL_MAX));
        let (node, issued) = (record.map(|record| record.node), record.map(|record| record.issued));
        let refusal = Refusal { agent: agent.clone(), node, issued, code, holder, detail };
        store::refuse(&self.router, &refusal).await?;
        self.router.registrations_table().count(|counts| counts.turned_away += 1);
        Ok(End::Done)
    }
}

/// What the bucket holds, as far as it can be believed, and what to expect of it.
struct HeldNow {
    registration: Option<Registration>,
    expect: Expect,
}

fn code(why: &ReadRefusal) -> RefusalCode {
    match why {
        ReadRefusal::Forged => RefusalCode::Forged,
        ReadRefusal::Foreign => RefusalCode::Foreign,
        ReadRefusal::Stale => RefusalCode::Stale,
        ReadRefusal::Oversized { .. } => RefusalCode::Oversized,
        ReadRefusal::Malformed(_) => RefusalCode::Malformed,
    }
}
