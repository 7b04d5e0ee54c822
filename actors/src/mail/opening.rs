//! An agent's durable messages on their way in: opened when their turn comes, and the key of each erased before it is removed
//! from the stream.
//!
//! Opening changes nothing. A message is opened, handled, and covered by a saved state; then its key is taken out of the
//! session, the session's record is written, and the message is removed. Wherever the process ends in between, the next owner
//! finds the message in the stream: beyond the cursor it opens again, below it its key is taken out and it is removed.
//!
//! ```text
//! bucket `keys`   session/<id of the agent>/<first 16 bytes of the session's id, in hexadecimal>   its record, sealed
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::identity::Prekeys;
use connectome_codecs::seal::StoreKey;
use connectome_codecs::session::{Context, Opened, Pending, Policy, Receiver, Session, Sessions};
use connectome_codecs::signature::Evidence;
use connectome_codecs::{Address, AgentId, AgentName, ContentType, Envelope, Refusal, Revision};
use parking_lot::Mutex;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::keys::{self, MailKeys, NoMailKeys};
use crate::identities::Logs;
use crate::port::{Expect, StreamError};
use crate::router::Router;

/// How long a store that does not answer is left alone.
const RETRY: Duration = Duration::from_millis(200);

/// Sessions that a lane holds at the most, some 3 KB each; beyond it all are let go, and read again one by one.
const SESSIONS_HELD: usize = 1_024;

/// Why a message was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotOpened {
    /// It is not believed.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It is no envelope.
    #[error("{0}")]
    Malformed(String),
    /// The store, or the keys in it: to be tried again.
    #[error("{0}")]
    Later(String),
    /// Another owner of the agent writes its records.
    #[error("{0}")]
    Overtaken(String),
}

impl From<NoMailKeys> for NotOpened {
    fn from(error: NoMailKeys) -> NotOpened {
        NotOpened::Later(error.to_string())
    }
}

impl From<StreamError> for NotOpened {
    fn from(error: StreamError) -> NotOpened {
        NotOpened::Later(error.to_string())
    }
}

/// A message that was opened.
#[derive(Debug)]
pub(super) struct Letter {
    /// What its sender wrote.
    pub(super) envelope: Envelope,
    /// Its key, to be consumed; `None` where nothing was sealed.
    pub(super) key: Option<Pending>,
    /// What proves to others who wrote it.
    pub(super) evidence: Option<Arc<Evidence>>,
}

/// What opens one agent's mail.
pub(super) struct Opener {
    router: Router,
    agent: AgentName,
    policy: Policy,
    state: Mutex<State>,
    used: Mutex<Vec<Pending>>,
    /// Held by whoever writes records: one at a time, in the order in which they were computed.
    writing: tokio::sync::Mutex<()>,
}

struct State {
    keys: Option<MailKeys>,
    sessions: Sessions,
    /// The records that were looked for: where each stands, if there was one.
    looked: BTreeMap<[u8; 16], Option<(Revision, u64)>>,
}

/// What is still to be fetched before a message can be opened.
enum Missing {
    Keys,
    Record([u8; 16]),
}

impl Opener {
    /// `keys`: those that the lane before had, should the store have lost them.
    pub(super) fn new(router: &Router, agent: &AgentName, keys: Option<MailKeys>) -> Arc<Opener> {
        let state = State { keys, sessions: Sessions::new(), looked: BTreeMap::new() };
        Arc::new(Opener {
            router: router.clone(),
            agent: agent.clone(),
            policy: router.mail_policy(),
            state: Mutex::new(state),
            used: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        })
    }

    /// What the next lane begins with.
    pub(super) fn leave_keys(&self) -> Option<MailKeys> {
        self.state.lock().keys.take()
    }

    /// Opens what the stream has. Nothing changes by it.
    pub(super) async fn open(&self, stored: &Bytes) -> Result<Letter, NotOpened> {
        let outer =
            Envelope::decode(stored.clone()).map_err(|error| NotOpened::Malformed(error.to_string()))?;
        if outer.content_type != ContentType::Sealed {
            return if self.router.inner().config.sealed {
                Err(Refusal::Unsealed.into())
            } else {
                Ok(Letter { envelope: outer, key: None, evidence: None })
            };
        }
        let context = Context::of(&outer).map_err(|error| NotOpened::Malformed(error.to_string()))?;
        let mut fresh = false;
        loop {
            match self.try_open(&outer.body, &context) {
                Ok((opened, sender)) => {
                    self.router.check_accepted(opened.from.0, &sender).await?;
                    return self.letter(&outer, opened, &sender);
                }
                // The keys were made anew, by somebody who sent to an agent that slept for long.
                Err(Tried::Refused(Refusal::PrekeyUnknown)) if !fresh => {
                    fresh = true;
                    self.fetch_keys().await?;
                }
                Err(Tried::Refused(refusal)) => {
                    self.forget_unknown(&outer.body);
                    return Err(refusal.into());
                }
                Err(Tried::Missing(Missing::Keys)) => self.fetch_keys().await?,
                Err(Tried::Missing(Missing::Record(tag))) => self.fetch_record(tag).await?,
            }
        }
    }

    /// What was looked for and not found is not remembered for somebody who made it up.
    fn forget_unknown(&self, body: &[u8]) {
        let mut state = self.state.lock();
        if let Some(tag) = tag_of(body)
            && state.looked.get(&tag) == Some(&None)
        {
            state.looked.remove(&tag);
        }
    }

    fn try_open(&self, body: &Bytes, context: &Context) -> Result<(Opened, AgentName), Tried> {
        let state = self.state.lock();
        // Keys whose time has come are renewed before they are used on.
        let keys = state.keys.as_ref().filter(|keys| !self.is_over(keys));
        let keys = keys.ok_or(Tried::Missing(Missing::Keys))?;
        if let Some(tag) = tag_of(body)
            && !state.looked.contains_key(&tag)
        {
            return Err(Tried::Missing(Missing::Record(tag)));
        }
        let directory = self.router.seals().identities().logs();
        let receiver = self.receiver(keys, &directory);
        let opened =
            state.sessions.open(receiver, body, context, self.router.now()).map_err(Tried::Refused)?;
        let sender = state.sessions.sender_of(&opened.pending).map(|sender| sender.claims().name.clone());
        sender.map(|sender| (opened, sender)).ok_or(Tried::Refused(Refusal::UnknownSession))
    }

    fn is_over(&self, keys: &MailKeys) -> bool {
        keys.is_due(self.router.now()) || keys::is_revoked(&self.router, keys.kept.instance.certificate())
    }

    fn receiver<'a>(&'a self, keys: &'a MailKeys, directory: &'a Logs) -> Receiver<'a> {
        let (instance, prekeys) = (&keys.kept.instance, &keys.kept.prekeys);
        Receiver { instance, prekeys, directory, policy: &self.policy }
    }

    /// The envelope that was sealed: from whom its seal says, and the one that it was put into.
    fn letter(&self, outer: &Envelope, opened: Opened, sender: &AgentName) -> Result<Letter, NotOpened> {
        let envelope =
            Envelope::decode(opened.payload).map_err(|error| NotOpened::Malformed(error.to_string()))?;
        let is_same = envelope.id == outer.id && envelope.to == outer.to && envelope.sent == outer.sent;
        let is_theirs = match &envelope.from {
            Some(Address::Agent(name)) => name == sender && !self.is_anothers(name, opened.from.0),
            Some(Address::Id(_) | Address::Capability(_)) => false,
            None => true,
        };
        if is_same && is_theirs {
            Ok(Letter { envelope, key: Some(opened.pending), evidence: opened.evidence.map(Arc::new) })
        } else {
            Err(Refusal::IdentityMismatch { what: "envelope" }.into())
        }
    }

    /// Whether a name is known to be somebody else's: an agent's here, or one's that is registered with another id.
    fn is_anothers(&self, name: &AgentName, id: AgentId) -> bool {
        let registry = self.router.registry();
        let is_other = registry.id_elsewhere(name).is_some_and(|known| known != id);
        (is_other || registry.local(name).is_some()) && !self.router.is_ours(id, name)
    }

    async fn fetch_keys(&self) -> Result<(), NotOpened> {
        self.restore_keys().await?;
        let keys = keys::own(&self.router, &self.agent).await?;
        let keys = keys::refill(&self.router, &self.agent, keys).await?;
        self.state.lock().keys = Some(keys);
        Ok(())
    }

    /// Keys that the store has lost, and that are still here, are written again.
    async fn restore_keys(&self) -> Result<(), NotOpened> {
        let held = self.state.lock().keys.take();
        let Some(mut keys) = held else { return Ok(()) };
        let restored = match keys::are_there(&self.router, &self.agent).await {
            Ok(false) => keys::save(&self.router, &self.agent, &mut keys).await,
            there => there.map(drop),
        };
        self.state.lock().keys = Some(keys);
        Ok(restored?)
    }

    async fn fetch_record(&self, tag: [u8; 16]) -> Result<(), NotOpened> {
        let table = &self.router.inner().mail_keys;
        let name = self.record_name(&tag)?;
        let entry = table.forget_after(table.open(&self.router).await?.get(&name).await)?;
        let found = entry.and_then(|entry| Some((entry.value?, entry.revision)));
        let mut at = None;
        let session = match found {
            Some((sealed, revision)) => {
                at = Some((revision, StoreKey::generation(&sealed).unwrap_or_default()));
                let record = keys::store_key(&self.router, &self.agent).open(&name, 0, &sealed)?;
                Some(Session::decode(&record)?)
            }
            None => None,
        };
        let mut state = self.state.lock();
        if state.looked.len() >= SESSIONS_HELD {
            // Each is read again when it is needed.
            (state.sessions, state.looked) = (Sessions::new(), BTreeMap::new());
        }
        if let Some(session) = session {
            state.sessions.restore(session, self.router.now());
        }
        state.looked.insert(tag, at);
        Ok(())
    }

    fn record_name(&self, tag: &[u8; 16]) -> Result<String, NotOpened> {
        let id = self.router.inner().ports.keys.agent_id(&self.agent).map_err(NoMailKeys::from)?;
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("session/{id}/{hex}"))
    }

    /// Takes out the key of a message that was handled, and returns when that is written down: then the message may be
    /// removed. Whatever else was handled meanwhile goes with it.
    pub(super) async fn consume(&self, key: Pending) -> Result<(), NotOpened> {
        self.used.lock().push(key);
        let _one = self.writing.lock().await;
        let mut used = std::mem::take(&mut *self.used.lock());
        if used.is_empty() {
            return Ok(());
        }
        let (records, prekeys_used) = loop {
            self.load_all(&used).await?;
            if let Some(committed) = self.commit(&mut used) {
                break committed;
            }
        };
        // The session first: without it, and without the prekey, its next message would open nowhere.
        for (tag, record) in records {
            self.write_record(tag, &record).await?;
        }
        if prekeys_used {
            self.write_keys().await;
        }
        Ok(())
    }

    /// Reads the sessions of these messages again, where they were let go meanwhile.
    async fn load_all(&self, used: &[Pending]) -> Result<(), NotOpened> {
        loop {
            let missing = {
                let state = self.state.lock();
                used.iter().map(|key| key.session().tag()).find(|tag| !state.looked.contains_key(tag))
            };
            let Some(tag) = missing else { return Ok(()) };
            match self.fetch_record(tag).await {
                Ok(()) => {}
                Err(NotOpened::Later(why)) => {
                    tracing::debug!(why, agent = %self.agent, "a session can't be read yet");
                    sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The records of the sessions after these messages, and whether a one-time prekey went with one. `None`: a session was let
    /// go since it was loaded.
    fn commit(&self, used: &mut Vec<Pending>) -> Option<(Vec<Record>, bool)> {
        let mut state = self.state.lock();
        if used.iter().any(|key| !state.looked.contains_key(&key.session().tag())) {
            return None;
        }
        let State { keys, sessions, .. } = &mut *state;
        let mut none = Prekeys::new();
        let prekeys = keys.as_mut().map_or(&mut none, |keys| &mut keys.kept.prekeys);
        let now = self.router.now();
        let stock = prekeys.one_time_stock(now);
        let mut tags = Vec::new();
        for key in used.drain(..) {
            let tag = key.session().tag();
            // One that another delivery of the same message has used is used.
            if sessions.commit(key, prekeys, &self.policy, now).is_ok() && !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        let prekeys_used = prekeys.one_time_stock(now) != stock;
        let record = |tag| Some((tag, sessions.get(&tag)?.encode()));
        Some((tags.into_iter().filter_map(record).collect(), prekeys_used))
    }

    /// Writes that a one-time prekey is used up, and fills the stock. It is no matter when somebody renewed them meanwhile: a
    /// prekey that was used opens nothing that its session does not.
    async fn write_keys(&self) {
        loop {
            let Some(mut keys) = self.state.lock().keys.take() else { return };
            let saved = keys::save(&self.router, &self.agent, &mut keys).await;
            self.state.lock().keys = Some(keys);
            let fetched = match saved {
                Ok(()) | Err(NoMailKeys::Store(StreamError::WrongRevision { .. })) => self.fetch_keys().await,
                Err(error) => Err(error.into()),
            };
            let Err(error) = fetched else { return };
            tracing::debug!(%error, agent = %self.agent, "the keys of an agent's mail can't be written yet");
            sleep(RETRY).await;
        }
    }

    async fn write_record(&self, tag: [u8; 16], record: &[u8]) -> Result<(), NotOpened> {
        let name = self.record_name(&tag)?;
        let at = self.state.lock().looked.get(&tag).copied().flatten();
        let generation = at.map_or(1, |(_, generation)| generation + 1);
        let mut fill = |bytes: &mut [u8]| self.router.inner().ports.world.fill(bytes);
        let sealed = keys::store_key(&self.router, &self.agent).seal(&name, generation, record, &mut fill);
        let revision = self.put(&name, sealed.into(), at.map(|(revision, _)| revision)).await?;
        self.state.lock().looked.insert(tag, Some((revision, generation)));
        Ok(())
    }

    /// Tries for as long as the store is away.
    async fn put(&self, name: &str, value: Bytes, over: Option<Revision>) -> Result<Revision, NotOpened> {
        let mut expect = over.map_or(Expect::Absent, Expect::Revision);
        loop {
            match self.try_put(name, &value, expect).await {
                Ok(revision) => return Ok(revision),
                // The store has lost it.
                Err(StreamError::WrongRevision { current: None, .. }) => expect = Expect::Absent,
                Err(error @ StreamError::WrongRevision { .. }) => match self.is_ours(name, &value).await {
                    // It was this very write, whose answer was lost.
                    Ok(Some(revision)) => return Ok(revision),
                    Ok(None) => return Err(NotOpened::Overtaken(error.to_string())),
                    Err(_) => sleep(RETRY).await,
                },
                Err(error) => {
                    tracing::debug!(%error, name, "a session can't be written yet");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn try_put(&self, name: &str, value: &Bytes, expect: Expect) -> Result<Revision, StreamError> {
        let table = &self.router.inner().mail_keys;
        let kept_for = Some(self.policy.retention * 2);
        let written = table.open(&self.router).await?.put(name, value.clone(), expect, kept_for).await;
        table.forget_after(written)
    }

    async fn is_ours(&self, name: &str, value: &Bytes) -> Result<Option<Revision>, StreamError> {
        let table = &self.router.inner().mail_keys;
        let now = table.forget_after(table.open(&self.router).await?.get(name).await)?;
        Ok(now.filter(|entry| entry.value.as_ref() == Some(value)).map(|entry| entry.revision))
    }
}

/// A session's record, by the first bytes of its id.
type Record = ([u8; 16], Zeroizing<Vec<u8>>);

enum Tried {
    Refused(Refusal),
    Missing(Missing),
}

/// The session that a sealed message says it belongs to.
fn tag_of(body: &[u8]) -> Option<[u8; 16]> {
    body.get(4..20)?.try_into().ok()
}
