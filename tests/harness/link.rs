//! A network link that can be cut, or lose everything that is answered.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A way to a server that leads through this process. Whoever connects to [`Link::url`] reaches the server as long as the
/// link is whole.
pub struct Link {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    state: State,
    /// Both ends of every connection that passes.
    ends: Vec<TcpStream>,
}

/// What the link does to what passes.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Whole,
    /// Requests arrive, and nothing that is answered does.
    Mute,
    Cut,
}

impl Link {
    /// A link to the server at this URL or address, which need not be there yet.
    ///
    /// # Panics
    /// If the machine has no port to spare.
    #[must_use]
    pub fn to(url: &str) -> Self {
        let address = url.trim_start_matches("http://");
        let server: SocketAddr = address.parse().expect("a server has an address and a port");
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port to spare");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Mutex::new(Shared { state: State::Whole, ends: Vec::new() }));
        let link = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // The link itself is gone when nobody but this thread has it.
                if Arc::strong_count(&shared) == 1 {
                    break;
                }
                pass(client, server, &shared);
            }
        });
        link
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections, and refuses new ones until the link is mended.
    pub fn cut(&self) {
        self.turn(State::Cut);
    }

    /// Loses from now on whatever is answered, until the link is mended.
    pub fn mute(&self) {
        lock(&self.shared).state = State::Mute;
    }

    /// Lets new connections pass. Those that lost something are ended.
    pub fn mend(&self) {
        self.turn(State::Whole);
    }

    fn turn(&self, state: State) {
        let mut shared = lock(&self.shared);
        if shared.state != State::Whole || state != State::Whole {
            // An end that is closed already needs no closing.
            shared.ends.drain(..).for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
        shared.state = state;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
        self.shared = Arc::new(Mutex::new(Shared { state: State::Cut, ends: Vec::new() }));
        // Wakes the thread, so that it sees that the link is gone.
        drop(TcpStream::connect(self.address));
    }
}

/// Connects a client through, unless the link is cut or there is no server.
fn pass(client: TcpStream, server: SocketAddr, shared: &Arc<Mutex<Shared>>) {
    if lock(shared).state == State::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server) else { return };
    let ends = [&client, &server].map(TcpStream::try_clone);
    let [Ok(client_end), Ok(server_end)] = ends else { return };
    {
        let mut shared = lock(shared);
        if shared.state == State::Cut {
            return;
        }
        shared.ends.extend([client_end, server_end]);
    }
    let ends = [&client, &server].map(TcpStream::try_clone);
    let [Ok(to_client), Ok(to_server)] = ends else { return };
    let shared = Arc::downgrade(shared);
    thread::spawn(move || carry(client, to_server, || true));
    thread::spawn(move || {
        let arrives = || shared.upgrade().is_none_or(|shared| lock(&shared).state != State::Mute);
        carry(server, to_client, arrives);
    });
}

/// Carries bytes one way until an end closes, and drops those that do not arrive.
fn carry(mut from: TcpStream, mut to: TcpStream, arrives: impl Fn() -> bool) {
    let mut buffer = [0; 1 << 14];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..count];
        if arrives() && to.write_all(bytes).is_err() {
            break;
        }
    }
    // What one end will not send any more, the other need not wait for.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
