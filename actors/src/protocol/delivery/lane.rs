//! The lane itself.

use std::collections::{BTreeMap, BTreeSet};

use connectome_codecs::{MessageId, Sequence};

use super::recent::Recent;
use super::{Action, CRASHES_MAX, EXPECTED_MAX, IN_HAND_MAX, Input, Kept, Trial};

/// One agent's durable messages, from delivery to acknowledgement.
///
/// ```
/// use connectome_actors::protocol::delivery::{Action, Input, Kept, Lane};
/// use connectome_codecs::{MessageId, Sequence, UnixMillis};
///
/// let id = MessageId::from_parts(UnixMillis(1), 1);
/// let mut lane = Lane::open(Kept::default(), []);
/// let mut say = |input| lane.handle(input).collect::<Vec<_>>();
/// assert_eq!(say(Input::Started { cursor: Sequence(0) }), []);
/// assert_eq!(say(Input::Delivered { sequence: Sequence(7), id }), [Action::Push { sequence: Sequence(7) }]);
/// assert_eq!(say(Input::Handled { sequence: Sequence(7) }), [Action::Save { cursor: Sequence(7) }]);
/// assert_eq!(say(Input::Saved { cursor: Sequence(7) }), [Action::Ack { sequence: Sequence(7) }]);
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
    /// Messages that exist and are not here; they come before anything newer.
    expected: BTreeSet<Sequence>,
    /// The expected message that was asked for.
    fetching: Option<Sequence>,
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
    /// Whether the consumer delivered it, so that there is something to acknowledge.
    delivered: bool,
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
    /// Opens a lane where it was left. `waiting` is what its stream holds beyond the cursor, in order: as many as the
    /// consumer may have delivered before, at most [`EXPECTED_MAX`].
    ///
    /// If the process ended while a message was on trial, that is one more crash of it. Any of those that were in
    /// hand may have ended it, so each is put on trial; the mark is saved together with the cursor before it.
    pub fn open(kept: Kept, waiting: impl IntoIterator<Item = Sequence>) -> Self {
        let waiting = waiting.into_iter().filter(|sequence| *sequence > kept.cursor);
        let expected: BTreeSet<Sequence> = waiting.take(EXPECTED_MAX).collect();
        let begun = kept.trial.filter(|trial| trial.sequence > kept.cursor);
        let trial = begun.map(|trial| {
            (
                Trial {
                    crashes: trial.crashes + 1,
                    ..trial
                },
                Mark::Unsaved,
            )
        });
        Self {
            saved: kept.cursor,
            applied: kept.cursor,
            saving: None,
            recent: Recent::new(kept.recent),
            hand: BTreeMap::new(),
            careful_until: expected.iter().take(IN_HAND_MAX).copied().max().unwrap_or_default(),
            expected,
            fetching: None,
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
            Input::Delivered { sequence, id } => self.arrived(
                sequence,
                Held {
                    id,
                    delivered: true,
                    aside: false,
                },
            ),
            Input::Fetched { sequence, id } => self.arrived(
                sequence,
                Held {
                    id,
                    delivered: false,
                    aside: false,
                },
            ),
            Input::Gone { sequence } => self.gone(sequence),
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
        let saving = self.saving.unwrap_or(Saving {
            cursor: self.saved,
            trial: None,
        });
        Kept {
            cursor: saving.cursor,
            recent: self.recent.up_to(saving.cursor),
            trial: saving.trial,
        }
    }

    /// The state of the agent, in memory, holds every message up to this one.
    pub fn applied(&self) -> Sequence {
        self.applied
    }

    /// Messages that may be taken from the consumer now. More are given back.
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

    fn arrived(&mut self, sequence: Sequence, message: Held) {
        self.fetching.take_if(|fetching| *fetching == sequence);
        let delivered = message.delivered;
        if sequence <= self.saved.min(self.applied) {
            return self.ack(sequence, delivered);
        }
        if self.detached {
            return self.nak(sequence, delivered);
        }
        if let Some(held) = self.hand.get_mut(&sequence) {
            held.delivered |= delivered;
        } else if self.hand.len() < IN_HAND_MAX || self.make_room(sequence) {
            self.expected.remove(&sequence);
            self.hand.insert(sequence, message);
        } else {
            self.give_back(sequence, delivered);
        }
    }

    /// Gives back the newest message in hand for an older one, if it is newer.
    fn make_room(&mut self, sequence: Sequence) -> bool {
        let Some(newest) = self
            .hand
            .last_entry()
            .filter(|newest| *newest.key() > sequence.max(self.applied))
        else {
            return false;
        };
        let (newest, held) = newest.remove_entry();
        self.give_back(newest, held.delivered);
        true
    }

    /// Past [`EXPECTED_MAX`] a message is given back and not remembered: its consumer has a larger bound than it may.
    fn give_back(&mut self, sequence: Sequence, delivered: bool) {
        if self.expected.len() < EXPECTED_MAX {
            self.expected.insert(sequence);
        }
        self.nak(sequence, delivered);
    }

    fn gone(&mut self, sequence: Sequence) {
        self.fetching.take_if(|fetching| *fetching == sequence);
        self.expected.remove(&sequence);
    }

    fn handled(&mut self, sequence: Sequence) {
        if self.step == Step::Handling(sequence) {
            self.step = Step::Idle;
            self.pass(sequence);
        }
    }

    /// The dead letter stands for the message when the lane comes to it, which may be later: the agent may have
    /// crashed meanwhile, and have to begin before it.
    fn set_aside(&mut self, sequence: Sequence) {
        if self.step == Step::SettingAside(sequence) {
            self.step = Step::Idle;
            if let Some(held) = self.hand.get_mut(&sequence) {
                held.aside = true;
            }
        }
    }

    /// The head is behind us.
    fn pass(&mut self, sequence: Sequence) {
        self.applied = sequence;
        self.trial.take_if(|(trial, _)| trial.sequence <= sequence);
        if let Some(held) = self.hand.get(&sequence)
            && !self.recent.contains(&held.id)
        {
            self.recent.push(sequence, held.id);
        }
    }

    fn saved(&mut self, cursor: Sequence) {
        let Some(saving) = self.saving.take_if(|saving| saving.cursor == cursor) else {
            return;
        };
        self.saved = self.saved.max(cursor);
        if let Some((trial, mark)) = &mut self.trial
            && saving.trial == Some(*trial)
        {
            *mark = Mark::Saved;
        }
        self.settle();
    }

    /// Acknowledges what is both saved and in the agent's memory.
    fn settle(&mut self) {
        let settled = self.saved.min(self.applied);
        while let Some(first) = self.hand.first_entry().filter(|first| *first.key() <= settled) {
            let (sequence, held) = first.remove_entry();
            self.ack(sequence, held.delivered);
        }
    }

    fn ack(&mut self, sequence: Sequence, delivered: bool) {
        if delivered {
            self.actions.push(Action::Ack { sequence });
        }
    }

    fn nak(&mut self, sequence: Sequence, delivered: bool) {
        if delivered {
            self.actions.push(Action::Nak { sequence });
        }
    }

    fn detach(&mut self) {
        (self.up, self.detached) = (false, true);
        self.leave_agent();
        self.expected.clear();
        for (sequence, held) in std::mem::take(&mut self.hand) {
            if sequence > self.applied {
                self.nak(sequence, held.delivered);
            }
        }
    }

    /// Does what can be done for the head of the lane, and has saved what is to be saved.
    fn advance(&mut self) {
        self.mark_wanted = false;
        while self.up && self.step == Step::Idle && self.pass_head() {}
        self.save();
    }

    /// True when the head needed no handling and the next one may be looked at.
    fn pass_head(&mut self) -> bool {
        let head = self.hand.range(self.applied.next()..).next();
        let head = head.map(|(sequence, held)| (*sequence, held.aside || self.recent.contains(&held.id)));
        let expected = self.expected.first().copied();
        match (head, expected) {
            (Some((head, _)), Some(expected)) if expected < head => self.fetch(expected),
            (Some((head, true)), _) => self.pass(head),
            (Some((head, false)), _) => self.push(head),
            (None, Some(expected)) => self.fetch(expected),
            (None, None) => {}
        }
        head.is_some_and(|(head, _)| self.applied == head)
    }

    /// Pushes the head, unless it is on trial: then not before that is saved, and not after too many crashes.
    fn push(&mut self, head: Sequence) {
        if head <= self.careful_until
            && self
                .trial
                .is_none_or(|(trial, _)| trial.crashes == 0 && trial.sequence != head)
        {
            self.trial = Some((
                Trial {
                    sequence: head,
                    crashes: 0,
                },
                Mark::Unsaved,
            ));
        }
        match self.trial_of(head) {
            Some((trial, _)) if trial.crashes >= CRASHES_MAX => self.dead_letter(trial),
            Some((_, Mark::Unsaved)) => self.mark_wanted = true,
            Some((_, Mark::Saved)) | None => {
                self.step = Step::Handling(head);
                self.actions.push(Action::Push { sequence: head });
            }
        }
    }

    fn fetch(&mut self, sequence: Sequence) {
        if self.fetching != Some(sequence) {
            self.fetching = Some(sequence);
            self.actions.push(Action::Fetch { sequence });
        }
    }

    fn dead_letter(&mut self, Trial { sequence, crashes }: Trial) {
        self.step = Step::SettingAside(sequence);
        self.actions.push(Action::DeadLetter {
            sequence,
            crashes,
            cause: self.cause.clone(),
        });
    }

    /// One save at a time; what is handled meanwhile goes with the next one. The state of an agent that crashed is lost.
    fn save(&mut self) {
        if self.saving.is_some() || !self.up || !(self.applied > self.saved || self.mark_wanted) {
            return;
        }
        let marked = self
            .trial
            .filter(|(_, mark)| self.mark_wanted || *mark == Mark::Saved);
        self.saving = Some(Saving {
            cursor: self.applied,
            trial: marked.map(|(trial, _)| trial),
        });
        self.actions.push(Action::Save { cursor: self.applied });
    }

    fn trial_of(&self, sequence: Sequence) -> Option<(Trial, Mark)> {
        self.trial.filter(|(trial, _)| trial.sequence == sequence)
    }
}

/// The cause of a crash that nobody lived to report.
const PROCESS_ENDED: &str = "the process ended while the agent handled it";
