//! A ractor actor below a supervisor written by hand: callers must learn the next reference.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::watch;

use super::Phoenix;

type Current = watch::Sender<Option<ActorRef<Say>>>;

pub(super) struct Ractor {
    current: watch::Receiver<Option<ActorRef<Say>>>,
}

enum Say {
    Ask(RpcReplyPort<u64>),
    Crash,
}

struct Answerer;

impl Actor for Answerer {
    type Msg = Say;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Say>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Say>, say: Say, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match say {
            Say::Ask(reply) => Ok(reply.send(1)?),
            Say::Crash => panic!("as it should"),
        }
    }
}

struct Keeper;

impl Actor for Keeper {
    type Msg = ();
    type State = Current;
    type Arguments = Current;

    async fn pre_start(&self, me: ActorRef<()>, current: Current) -> Result<Current, ActorProcessingErr> {
        start(&me, &current).await?;
        Ok(current)
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<()>,
        event: SupervisionEvent,
        current: &mut Current,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            start(&me, current).await?;
        }
        Ok(())
    }
}

async fn start(keeper: &ActorRef<()>, current: &Current) -> Result<(), ActorProcessingErr> {
    let (actor, _task) = Answerer::spawn_linked(None, Answerer, (), keeper.get_cell()).await?;
    current.send_replace(Some(actor));
    Ok(())
}

impl Phoenix for Ractor {
    const NAME: &'static str = "ractor, restarted by hand";
    type Nest = Vec<ActorRef<()>>;

    async fn nest() -> Self::Nest {
        Vec::new()
    }

    async fn hatch(keepers: &mut Self::Nest, _: usize) -> Ractor {
        let (sender, current) = watch::channel(None);
        let (supervisor, _task) = Keeper::spawn(None, Keeper, sender).await.expect("its start can't fail");
        keepers.push(supervisor);
        Ractor { current }
    }

    async fn crash_and_ask(&mut self) -> u64 {
        let actor = self.current.borrow_and_update().clone().expect("it was started");
        actor.cast(Say::Crash).expect("the actor runs");
        self.current.changed().await.expect("its supervisor runs");
        let actor = self.current.borrow_and_update().clone().expect("it was started again");
        actor.call(Say::Ask, None).await.expect("the actor runs").expect("it answers")
    }

    async fn clear(keepers: Self::Nest) {
        for keeper in keepers {
            keeper.stop_and_wait(None, None).await.expect("nobody else stops it");
        }
    }
}
