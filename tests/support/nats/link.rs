//! A link that can be cut and healed, between two servers or two nodes: a proxy on loopback.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A way from one port of loopback to another.
pub(crate) struct Link {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    open: Vec<TcpStream>,
}

impl Link {
    /// Listens on one port and carries to the other.
    pub(crate) fn new(from: u16, to: u16) -> Link {
        let listener = TcpListener::bind(("127.0.0.1", from)).expect("the port was free a moment ago");
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                accept(&shared, near, to);
            }
        });
        Link { state }
    }

    /// Ends all connections, and every new one at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        for stream in state.open.drain(..) {
            // One that has ended by itself is cut already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Carries again.
    pub(crate) fn heal(&self) {
        self.state.lock().unwrap().is_cut = false;
    }
}

fn accept(state: &Mutex<State>, near: TcpStream, to: u16) {
    let mut state = state.lock().unwrap();
    if state.is_cut {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { return };
    let twin = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    for (mut source, mut sink) in [(twin(&near), twin(&far)), (twin(&far), twin(&near))] {
        thread::spawn(move || {
            // Whichever end closes first ends both ways.
            let _ = copy(&mut source, &mut sink);
            let _ = sink.shutdown(Shutdown::Both);
            let _ = source.shutdown(Shutdown::Both);
        });
    }
    state.open.extend([near, far]);
}
