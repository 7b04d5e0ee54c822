//! What a caller is told, near and far: who must act, and whether anything may have happened.

use std::time::Duration;

use connectome::Reason;
use connectome::codecs::message::{Blame, Effect};
use connectome::codecs::{Address, NodeId};
use connectome::prelude::*;

use super::support::*;

/// Says no, in a given way.
#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "refuse", reply = ())]
struct Refuse {
    why: String,
    retryable: bool,
}

/// The same wire name as `Refuse`, and other bytes.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "refuse", reply = ())]
struct NotRefuse(Vec<u64>);

/// Answers with so many letters.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "letters", reply = String)]
struct Letters(usize);

/// Nobody handles it.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "unheard-of", reply = ())]
struct UnheardOf;

struct Refuser;

impl Agent for Refuser {
    fn handles(table: &mut Table<Self>) {
        table.on::<Refuse>();
        table.on::<Letters>();
        table.on::<Crash>();
    }
}

impl Handle<Refuse> for Refuser {
    async fn handle(&mut self, refuse: Refuse, _: &mut Context<'_>) -> Result<(), HandlerError> {
        Err(if refuse.retryable { HandlerError::new(refuse.why) } else { HandlerError::rejected(refuse.why) })
    }
}

impl Handle<Letters> for Refuser {
    async fn handle(
        &mut self,
        Letters(number): Letters,
        _: &mut Context<'_>,
    ) -> Result<String, HandlerError> {
        Ok("a".repeat(number))
    }
}

impl Handle<Crash> for Refuser {
    async fn handle(&mut self, Crash(why): Crash, _: &mut Context<'_>) -> Result<(), HandlerError> {
        panic!("{why}")
    }
}

/// A refuser, seen from its own node and from another one.
async fn near_and_far() -> (Node, Node, [AgentRef; 2]) {
    let (one, two) = pair().await;
    let near = one.spawn("refuser", || Refuser).await.unwrap();
    knows(&two, "refuser").await;
    let far = two.agent("refuser").unwrap();
    (one, two, [near, far])
}

/// Every way in which a call can fail says whether it may have happened, and who must act.
#[test]
fn every_error_answers_both_questions() {
    let name = || "a".parse::<AgentName>().unwrap();
    let address = || Address::Agent(name());
    let (none, possible) = (Effect::None, Effect::Possible);
    let (caller, peer, environment) = (Blame::Caller, Blame::Peer, Blame::Environment);
    let message = || "m".to_owned();
    let refused = CallError::Refused { code: message(), blame: caller, effect: none, message: message() };
    let cases = [
        (CallError::NoAgent(address()), none, caller, "no_agent"),
        (CallError::MailboxFull { agent: name(), capacity: 1 }, none, peer, "mailbox_full"),
        (CallError::NoHandler { agent: name(), message: message() }, none, caller, "no_handler"),
        (CallError::BadMessage { message: message(), problem: message() }, none, caller, "bad_message"),
        (CallError::Cycle(message()), none, caller, "cycle"),
        (CallError::NotStarted(Duration::ZERO), none, peer, "not_started"),
        (CallError::TimedOut(Duration::ZERO), possible, peer, "timed_out"),
        (CallError::Crashed(message()), possible, peer, "crashed"),
        (CallError::Stopped(message()), none, peer, "stopped"),
        (CallError::NotSent(message()), none, environment, "not_sent"),
        (CallError::PathLost(NodeId([1; 32])), possible, environment, "path_lost"),
        (CallError::BadReply(message()), possible, peer, "bad_reply"),
        (CallError::Unbound, none, caller, "unbound"),
        (CallError::Handler(HandlerError::new("m")), possible, peer, "handler"),
        (refused, none, caller, "refused"),
    ];
    for (error, effect, blame, code) in cases {
        assert_eq!((error.effect(), error.blame(), error.code()), (effect, blame, code), "{error:?}");
    }
}

/// A handler's refusal reaches the caller with its words and whether another attempt makes sense, near and far.
#[tokio::test]
async fn a_refusal_is_the_same_near_and_far() {
    let (_one, _two, both) = near_and_far().await;
    for agent in &both {
        for retryable in [true, false] {
            let refuse = Refuse { why: "not today".into(), retryable };
            match agent.call(refuse).await.unwrap_err() {
                CallError::Handler(error) => {
                    assert_eq!(
                        (error.to_string(), error.is_retryable()),
                        ("not today".to_owned(), retryable)
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A refusal without a word is still an answer.
#[tokio::test(start_paused = true)]
async fn an_empty_refusal_is_answered() {
    let (_one, _two, both) = near_and_far().await;
    for agent in &both {
        let error = agent.call(Refuse { why: String::new(), retryable: false }).await.unwrap_err();
        assert!(matches!(error, CallError::Handler(_)), "{error:?}");
        let error = agent.call(Crash(String::new())).await.unwrap_err();
        assert!(matches!(error, CallError::Crashed(_)), "{error:?}");
    }
}

/// A crash says why, once, near and far; a text that is too long for the way is cut, not lost.
#[tokio::test(start_paused = true)]
async fn a_crash_says_why_once() {
    let (_one, _two, both) = near_and_far().await;
    for agent in &both {
        let error = agent.call(Crash("so that you know".into())).await.unwrap_err();
        assert!(matches!(&error, CallError::Crashed(why) if why == "so that you know"), "{error:?}");
    }
    let error = both[1].call(Crash("long ".repeat(20_000))).await.unwrap_err();
    assert!(matches!(&error, CallError::Crashed(why) if why.starts_with("long long")), "{error:?}");
}

/// A message that nobody handles had no effect, is the caller's to mend, and is a dead letter, near and far.
#[tokio::test]
async fn what_nobody_handles_is_refused() {
    let (one, _two, both) = near_and_far().await;
    for agent in &both {
        let error = agent.call(UnheardOf).await.unwrap_err();
        assert_eq!((error.effect(), error.blame()), (Effect::None, Blame::Caller), "{error:?}");
        assert!(error.to_string().contains("does not handle unheard-of"), "{error}");
    }
    assert_eq!(one.router().dead_letter_counts()[&Reason::NoHandler], 2);
}

/// Bytes that are not what their type says had no effect and are a dead letter; the agent goes on.
#[tokio::test]
async fn bytes_that_do_not_fit_are_refused() {
    let (one, two, [near, far]) = near_and_far().await;
    let error = far.call(NotRefuse(vec![1, 2, 3])).await.unwrap_err();
    assert_eq!((error.effect(), error.blame()), (Effect::None, Blame::Caller), "{error:?}");
    assert!(error.to_string().contains("refuse could not be decoded"), "{error}");
    far.cast(NotRefuse(vec![1, 2, 3])).await.unwrap();
    let malformed = || one.router().dead_letter_counts().get(&Reason::Malformed).copied();
    until(|| malformed() == Some(2)).await;
    assert_eq!(near.call(Letters(2)).await.unwrap(), "aa");
    one.router().quiet().await;
    assert_eq!(one.accounts().dead_lettered, 2);
    assert_eq!(two.accounts().accepted, 0);
}

/// An answer that is too large for the way is refused at once, instead of leaving the caller to its deadline.
#[tokio::test(start_paused = true)]
async fn an_answer_too_large_for_the_way_is_an_error() {
    let (_one, _two, [near, far]) = near_and_far().await;
    let began = tokio::time::Instant::now();
    assert_eq!(near.call(Letters(2_000_000)).await.unwrap().len(), 2_000_000);
    let error = far.call(Letters(2_000_000)).await.unwrap_err();
    assert!(matches!(error, CallError::Handler(_)), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(1), "{error:?} after {:?}", began.elapsed());
}

/// A message that is too large for the way did not leave.
#[tokio::test]
async fn a_message_too_large_for_the_way_is_not_sent() {
    let (_one, _two, [_near, far]) = near_and_far().await;
    let error = far.call(Refuse { why: "a".repeat(2_000_000), retryable: false }).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error:?}");
}

/// Nobody there: no effect, the caller must act, and a dead letter.
#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let node = node().await;
    for address in ["nobody", "can:nothing"] {
        let nobody = node.agent(address).unwrap();
        assert!(matches!(nobody.call(Add(1)).await, Err(CallError::NoAgent(_))));
        assert!(matches!(nobody.cast(Add(1)).await, Err(CallError::NoAgent(_))));
    }
    assert_eq!(node.router().dead_letter_counts()[&Reason::NoAgent], 4);
    assert!(node.accounts().balance());
}

/// A reference outside of any node says so instead of waiting.
#[tokio::test]
async fn an_unbound_reference_says_so() {
    let node = node().await;
    let bytes = connectome::codecs::wire::encode(&node.agent("anyone").unwrap()).unwrap();
    let unbound: AgentRef = connectome::codecs::wire::decode(&bytes).unwrap();
    assert!(matches!(unbound.call(Add(1)).await, Err(CallError::Unbound)));
}
