//! How a parcel becomes a call of the right handler: one entry for each type of message an agent handles.

use std::any::{Any, TypeId};
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use connectome_codecs::{Address, compression, wire};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::agent::{Agent, Handle};
use crate::context::{Context, Core};
use crate::error::{CallError, HandlerError, panic_text};
use crate::mailbox::Settled;
use crate::message::Message;
use crate::parcel::{Answer, Encoded, Named, Typed};
use crate::scope;

/// How one type of message is handled.
pub(crate) struct Entry<A> {
    pub(crate) name: &'static str,
    pub(crate) message: TypeId,
    pub(crate) run_typed: RunTyped<A>,
    pub(crate) run_encoded: RunEncoded<A>,
}

type RunTyped<A> = for<'a> fn(&'a mut A, Box<dyn Any + Send>, &'a mut Core) -> BoxFuture<'a, Outcome>;
type RunEncoded<A> = for<'a> fn(&'a mut A, Box<Encoded>, &'a mut Core) -> BoxFuture<'a, Outcome>;

/// How the handling of one message ended.
pub(crate) enum Outcome {
    /// The agent goes on.
    Settled(Settled),
    /// The agent panicked with this text, over a message of this sender.
    Crashed { cause: String, from: Option<Address> },
}

pub(crate) fn run_typed<'a, A: Handle<M>, M: Message>(
    agent: &'a mut A,
    parcel: Box<dyn Any + Send>,
    core: &'a mut Core,
) -> BoxFuture<'a, Outcome> {
    let parcel = parcel.downcast::<Typed<M>>().expect("the table looked this entry up by the parcel's type");
    Box::pin(async move {
        let Typed { message, reply, items, ref meta } = *parcel;
        let gone = || reply.is_gone();
        let mut ctx = Context::new(core, meta, &gone);
        ctx.set_items(items);
        let result = AssertUnwindSafe(agent.handle(message, &mut ctx)).catch_unwind().await;
        match result {
            Ok(Err(error)) if error.is_piped() => match core.take_pipe::<M::Reply>() {
                Some(pipe) => {
                    core.run_pipe_to_caller(Named::<M>::NAME, pipe, reply);
                    Outcome::Settled(Settled::Piped)
                }
                None => {
                    reply.send(Err(CallError::Handler(no_pipe())));
                    Outcome::Settled(Settled::Handled)
                }
            },
            Ok(result) => {
                reply.send(result.map_err(CallError::Handler));
                Outcome::Settled(Settled::Handled)
            }
            Err(panic) => {
                let cause = panic_text(panic);
                reply.send(Err(CallError::Crashed(cause.clone())));
                Outcome::Crashed { cause, from: meta.from.clone() }
            }
        }
    })
}

pub(crate) fn run_encoded<'a, A: Handle<M>, M: Message>(
    agent: &'a mut A,
    parcel: Box<Encoded>,
    core: &'a mut Core,
) -> BoxFuture<'a, Outcome> {
    Box::pin(async move {
        let Encoded { ref envelope, answer, ref meta } = *parcel;
        let message = match decode_message::<M>(envelope, core) {
            Ok(message) => message,
            Err(error) => {
                // A durable lane writes a letter of its own.
                if answer.as_ref().is_none_or(|answer| !answer.takes_back()) {
                    core.malformed(envelope, &error);
                }
                return refuse(answer, error);
            }
        };
        if let Some(answer) = &answer {
            answer.begun();
        }
        let gone = || answer.as_ref().is_some_and(|answer| answer.is_gone());
        let mut ctx = Context::new(core, meta, &gone).with_remote(
            answer.as_ref().and_then(|answer| answer.items()),
            answer.as_ref().and_then(|a| a.task()),
        );
        let result = AssertUnwindSafe(agent.handle(message, &mut ctx)).catch_unwind().await;
        match result {
            Ok(Err(error)) if error.is_piped() => pipe_to_answer::<M>(core, answer),
            Ok(result) => {
                let state = state_for(agent, answer.as_deref());
                give(
                    answer,
                    result.map_err(CallError::Handler).and_then(|reply| encode_reply(&reply)),
                    state,
                );
                Outcome::Settled(Settled::Handled)
            }
            Err(panic) => {
                let cause = panic_text(panic);
                give(answer, Err(CallError::Crashed(cause.clone())), None);
                Outcome::Crashed { cause, from: meta.from.clone() }
            }
        }
    })
}

fn pipe_to_answer<M: Message>(core: &mut Core, answer: Option<Box<dyn Answer>>) -> Outcome {
    match core.take_pipe::<M::Reply>() {
        Some(pipe) => {
            core.run_pipe_to_answer(Named::<M>::NAME, pipe, answer);
            Outcome::Settled(Settled::Piped)
        }
        None => {
            give(answer, Err(CallError::Handler(no_pipe())), None);
            Outcome::Settled(Settled::Handled)
        }
    }
}

fn state_for<A: Agent>(agent: &A, answer: Option<&dyn Answer>) -> Option<Bytes> {
    (A::KEEPS_STATE && answer.is_some_and(Answer::wants_state)).then(|| agent.save())
}

fn decode_message<M: Message>(envelope: &connectome_codecs::Envelope, core: &Core) -> Result<M, CallError> {
    let bad = |problem: String| CallError::BadMessage { message: M::NAME.to_owned(), problem };
    let limit = connectome_codecs::limits::FRAME_MAX;
    let body =
        compression::decompress(&envelope.body, envelope.encoding, limit).map_err(|e| bad(e.to_string()))?;
    scope::binding(core.router(), || wire::decode(&body)).map_err(|e| bad(e.to_string()))
}

pub(crate) fn encode_reply<R: serde::Serialize>(reply: &R) -> Result<Bytes, CallError> {
    wire::encode(reply).map_err(|error| {
        CallError::Handler(HandlerError::rejected(format!("the answer could not be encoded: {error}")))
    })
}

fn refuse(answer: Option<Box<dyn Answer>>, error: CallError) -> Outcome {
    give(answer, Err(error), None);
    Outcome::Settled(Settled::Dead)
}

pub(crate) fn give(answer: Option<Box<dyn Answer>>, result: Result<Bytes, CallError>, state: Option<Bytes>) {
    if let Some(answer) = answer {
        answer.give(result, state);
    }
}

fn no_pipe() -> HandlerError {
    HandlerError::rejected("the handler returned a pipe's marker of another type than its reply")
}
