//! The first message of the lane: put on trial, pushed, set aside or passed; and the saves and removals that follow.

use connectome_codecs::Sequence;

use super::super::{Action, CRASHES_MAX, Trial};
use super::{Lane, Mark, Saving, Step};

impl Lane {
    pub(super) fn handled(&mut self, sequence: Sequence) {
        if self.step == Step::Handling(sequence) {
            self.step = Step::Idle;
            self.pass(sequence);
        }
    }

    /// The dead letter stands for the message when the lane comes to it, which may be later: the agent may have
    /// crashed meanwhile, and have to begin before it.
    pub(super) fn set_aside(&mut self, sequence: Sequence) {
        if self.step == Step::SettingAside(sequence) {
            self.step = Step::Idle;
            if let Some(held) = self.hand.get_mut(&sequence) {
                held.aside = true;
            }
        }
    }

    /// The head is behind us.
    pub(super) fn pass(&mut self, sequence: Sequence) {
        self.applied = sequence;
        self.trial.take_if(|(trial, _)| trial.sequence <= sequence);
        if let Some(held) = self.hand.get(&sequence)
            && !self.recent.contains(&held.id)
        {
            self.recent.push(sequence, held.id);
        }
    }

    /// Does what can be done for the head of the lane, and has saved what is to be saved.
    pub(super) fn advance(&mut self) {
        self.mark_wanted = false;
        while self.up && self.step == Step::Idle && self.pass_head() {}
        self.save();
    }

    /// True when the head needed no handling and the next one may be looked at.
    pub(super) fn pass_head(&mut self) -> bool {
        let Some((&head, held)) = self.hand.range(self.applied.next()..).next() else { return false };
        if held.aside || self.recent.contains(&held.id) {
            self.pass(head);
        } else {
            self.push(head);
        }
        self.applied == head
    }

    /// Pushes the head, unless it is on trial: then not before that is saved, and not after too many crashes.
    pub(super) fn push(&mut self, head: Sequence) {
        if head <= self.careful_until
            && self.trial.is_none_or(|(trial, _)| trial.crashes == 0 && trial.sequence != head)
        {
            self.trial = Some((Trial { sequence: head, crashes: 0 }, Mark::Unsaved));
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

    pub(super) fn dead_letter(&mut self, Trial { sequence, crashes }: Trial) {
        self.step = Step::SettingAside(sequence);
        self.actions.push(Action::DeadLetter { sequence, crashes, cause: self.cause.clone() });
    }

    /// One save at a time; what is handled meanwhile goes with the next one. The state of an agent that crashed is lost.
    pub(super) fn save(&mut self) {
        if self.saving.is_some() || !self.up || !(self.applied > self.saved || self.mark_wanted) {
            return;
        }
        let marked = self.trial.filter(|(_, mark)| self.mark_wanted || *mark == Mark::Saved);
        self.saving = Some(Saving { cursor: self.applied, trial: marked.map(|(trial, _)| trial) });
        self.actions.push(Action::Save { cursor: self.applied });
    }

    pub(super) fn saved(&mut self, cursor: Sequence) {
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

    /// Removes what is both saved and in the agent's memory.
    fn settle(&mut self) {
        let settled = self.saved.min(self.applied);
        while let Some(first) = self.hand.first_entry().filter(|first| *first.key() <= settled) {
            self.actions.push(Action::Remove { sequence: first.remove_entry().0 });
        }
    }
}
