//! A link that can be cut, stalled and healed, between two servers or two nodes: a proxy on loopback.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Bytes that are carried at once.
const CHUNK: usize = 64 * 1024;

/// A way from one port of loopback to another.
pub(crate) struct Link {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    is_stalled: bool,
    open: Vec<TcpStream>,
}

impl Link {
    /// Listens on one port and carries to the other.
    pub(crate) fn new(from: u16, to: u16) -> Link {
        let listener = TcpListener::bind(("127.0.0.1", from)).expect("the port was free a moment ago");
        let shared = Arc::<Shared>::default();
        let carried = shared.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                accept(&carried, near, to);
            }
        });
        Link { shared }
    }

    /// Ends all connections, and every new one at once.
    pub(crate) fn cut(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.is_cut = true;
        for stream in state.open.drain(..) {
            // One that has ended by itself is cut already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Carries nothing any more, and ends nothing: as if every packet were lost.
    pub(crate) fn stall(&self) {
        self.shared.state.lock().unwrap().is_stalled = true;
    }

    /// Carries again.
    pub(crate) fn heal(&self) {
        let mut state = self.shared.state.lock().unwrap();
        (state.is_cut, state.is_stalled) = (false, false);
        drop(state);
        self.shared.changed.notify_all();
    }
}

fn accept(shared: &Arc<Shared>, near: TcpStream, to: u16) {
    let mut state = shared.state.lock().unwrap();
    if state.is_cut {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { return };
    let twin = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    for (source, sink) in [(twin(&near), twin(&far)), (twin(&far), twin(&near))] {
        let shared = shared.clone();
        thread::spawn(move || carry(&shared, source, sink));
    }
    state.open.extend([near, far]);
}

fn carry(shared: &Shared, mut source: TcpStream, mut sink: TcpStream) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = source.read(&mut chunk) {
        let state = shared.state.lock().unwrap();
        drop(shared.changed.wait_while(state, |state| state.is_stalled).unwrap());
        if sink.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    // Whichever end closes first ends both ways.
    let _ = sink.shutdown(Shutdown::Both);
    let _ = source.shutdown(Shutdown::Both);
}
