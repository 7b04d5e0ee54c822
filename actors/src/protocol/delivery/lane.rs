//! The lane itself: what it remembers, what comes in, and the life of its agent. What is done with the first message of the
//! lane, and what is removed, is in `head.rs`.

mod head;

use std::collections::BTreeMap;

use connectome_codecs::{MessageId, Sequence};

use super::recent::Recent;
use super::{Action, IN_HAND_MAX, Input, Kept, Trial};

/// One agent's durable messages, from the stream to the saved state.
///
/// ```
/// use connectome_actors::protocol::delivery::{Action, Input, Kept, Lane};
/// use connectome_codecs::{MessageId, Sequence, UnixMillis};
///
/// let id = MessageId::from_parts(UnixMillis(1), 1);
/// let mut lane = Lane::open(Kept::default(), []);
/// let mut say = |input| lane.handle(input).collect::<Vec<_>>();
/// assert_eq!(say(Input::Started { cursor: Sequence(0) }), []);
/// assert_eq!(say(Input::Read { sequence: Sequence(7), id }), [Action::Push { sequence: Sequence(7) }]);
/// assert_eq!(say(Input::Handled { sequence: Sequence(7) }), [Action::Save { cursor: Sequence(7) }]);
/// assert_eq!(say(Input::Saved { cursor: Sequence(7) }), [Action::Remove { sequence: Sequence(7) }]);
/// ```
#[derive(Debug)]
pub struct Lane {
    /// The saved state holds everything up to this.
    saved: Sequence,
    /// The agent's state, in memory, holds everything up to this.
    applied: Sequence,
    /// The save that is on the way.
    saving: Option<Saving>,
    recent: Recent,
    /// Messages that are here, until they are covered by a saved cursor.
    hand: BTreeMap<Sequence, Held>,
    /// Whether an incarnation of the agent runs.
    up: bool,
    /// Whether the lane is given up.
    detached: bool,
    step: Step,
    /// Messages up to this one may have ended the last process: each is put on trial.
    careful_until: Sequence,
    /// The message on trial, and whether that is saved.
    trial: Option<(Trial, Mark)>,
    /// Whether the head waits for that.
    mark_wanted: bool,
    cause: String,
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Held {
    id: MessageId,
    /// Whether a dead letter stands for it.
    aside: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Saving {
    cursor: Sequence,
    trial: Option<Trial>,
}

/// What is being done with the head of the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle,
    Handling(Sequence),
    SettingAside(Sequence),
}

/// Whether a trial is known to the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unsaved,
    Saved,
}

impl Lane {
    /// Opens a lane where it was left. `waiting` is what its stream holds beyond the cursor, in order: the first
    /// [`IN_HAND_MAX`] of it, which the last process may have had in hand. They are to be [`Input::Read`] as well.
    ///
    /// If the process ended while a message was on trial, that is one more crash of it. Any of those that were in
    /// hand may have ended it, so each is put on trial; the mark is saved together with the cursor before it.
    pub fn open(kept: Kept, waiting: impl IntoIterator<Item = Sequence>) -> Self {
        let begun = kept.trial.filter(|trial| trial.sequence > kept.cursor);
        let trial = begun.map(|trial| (Trial { crashes: trial.crashes + 1, ..trial }, Mark::Unsaved));
        Self {
            saved: kept.cursor,
            applied: kept.cursor,
            saving: None,
            recent: Recent::new(kept.recent),
            hand: BTreeMap::new(),
            careful_until: waiting.into_iter().take(IN_HAND_MAX).max().unwrap_or_default(),
            up: false,
            detached: false,
            step: Step::Idle,
            trial,
            mark_wanted: false,
            cause: PROCESS_ENDED.into(),
            actions: Vec::new(),
        }
    }

    /// Takes one input and returns what is to be done, in order.
    pub fn handle(&mut self, input: Input) -> impl Iterator<Item = Action> {
        match input {
            Input::Started { cursor } => self.started(cursor),
            Input::Crashed { sequence, cause } => self.crashed(sequence, cause),
            Input::Read { sequence, id } => self.read(sequence, id),
            Input::Handled { sequence } => self.handled(sequence),
            Input::Saved { cursor } => self.saved(cursor),
            Input::SetAside { sequence } => self.set_aside(sequence),
            Input::Detached => self.detach(),
        }
        self.advance();
        self.actions.drain(..)
    }

    /// What to save: everything up to the cursor of the save that is on the way, or else of the last one.
    pub fn kept(&self) -> Kept {
        let saving = self.saving.unwrap_or(Saving { cursor: self.saved, trial: None });
        Kept { cursor: saving.cursor, recent: self.recent.up_to(saving.cursor), trial: saving.trial }
    }

    /// The state of the agent, in memory, holds every message up to this one.
    pub fn applied(&self) -> Sequence {
        self.applied
    }

    /// Whether a message with this id is among the last that were applied.
    pub fn has_applied(&self, id: &MessageId) -> bool {
        self.recent.contains(id)
    }

    /// Messages that may be read from the stream now.
    pub fn room(&self) -> usize {
        IN_HAND_MAX.saturating_sub(self.hand.len())
    }

    fn started(&mut self, cursor: Sequence) {
        self.up = !self.detached;
        self.applied = cursor.max(self.saved);
        self.recent.rewind(self.applied);
        self.leave_agent();
    }

    /// What the agent was handling is not handled. A dead letter is written all the same.
    fn leave_agent(&mut self) {
        if matches!(self.step, Step::Handling(_)) {
            self.step = Step::Idle;
        }
    }

    fn crashed(&mut self, sequence: Option<Sequence>, cause: String) {
        if let Some(sequence) = sequence.filter(|sequence| self.step == Step::Handling(*sequence)) {
            let crashes = self.trial_of(sequence).map_or(0, |(trial, _)| trial.crashes) + 1;
            self.trial = Some((Trial { sequence, crashes }, Mark::Unsaved));
            self.cause = cause;
        }
        self.up = false;
        self.leave_agent();
    }

    fn read(&mut self, sequence: Sequence, id: MessageId) {
        if sequence <= self.saved.min(self.applied) {
            return self.actions.push(Action::Remove { sequence });
        }
        if !self.detached {
            self.hand.entry(sequence).or_insert(Held { id, aside: false });
        }
    }

    fn detach(&mut self) {
        (self.up, self.detached) = (false, true);
        self.leave_agent();
        self.hand.clear();
    }

    fn trial_of(&self, sequence: Sequence) -> Option<(Trial, Mark)> {
        self.trial.filter(|(trial, _)| trial.sequence == sequence)
    }
}

/// The cause of a crash that nobody lived to report.
const PROCESS_ENDED: &str = "the process ended while the agent handled it";
