//! How many connections may be open: each takes a file descriptor of the process, which the database and the archive need too.
//! One beyond the limit is closed at once, and whoever opened it tries again later, or asks the next coordinator.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// File descriptors that are for everything but connections.
const RESERVED: u64 = 128;
/// Connections that are accepted however few descriptors there are.
const LEAST: u64 = 16;

/// Who may come in.
#[derive(Debug)]
pub(super) struct Guests {
    limit: usize,
    places: Arc<Semaphore>,
    /// It was told that there is no place.
    told: AtomicBool,
}

/// A connection; its place is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Guests {
    /// As many as the process may have files open, but for those that it needs itself. It asks for as many as it can have: the
    /// system's usual number is meant for programs that wait for few.
    pub(super) fn as_many_as_fit() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let files = if raised.is_ok() { maximum } else { current }.unwrap_or(u64::MAX);
        let limit = files.saturating_sub(RESERVED).max(LEAST);
        Self::at_most(usize::try_from(limit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS))
    }

    fn at_most(limit: usize) -> Self {
        Self { limit, places: Arc::new(Semaphore::new(limit)), told: AtomicBool::new(false) }
    }

    /// Gives a connection its place; none if there is none, and the connection is closed.
    pub(super) fn admit(&self, accepted: io::Result<TcpStream>) -> Option<io::Result<Guest>> {
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => return Some(Err(error)),
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            if !self.told.swap(true, Ordering::Relaxed) {
                let limit = self.limit;
                tracing::warn!(limit, "no further connection is accepted until one ends; `ulimit -H -n` bounds them");
            }
            return None;
        };
        // While connections come and go at the limit it is told once.
        if self.places.available_permits() > self.limit / 8 {
            self.told.store(false, Ordering::Relaxed);
        }
        Some(Ok(Guest { stream, _place: place }))
    }
}

impl Connected for Guest {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn one_too_many_is_closed_until_another_has_left() {
        let (listener, guests) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Guests::at_most(1));
        let address = listener.local_addr().unwrap();
        let come = async || {
            let visitor = TcpStream::connect(address).await.unwrap();
            (visitor, guests.admit(listener.accept().await.map(|(stream, _)| stream)))
        };
        let (_first, admitted) = come().await;
        assert!(admitted.is_some());
        let (mut second, refused) = come().await;
        assert!(refused.is_none());
        assert_eq!(second.read(&mut [0]).await.unwrap(), 0, "the connection is closed");
        drop(admitted);
        assert!(come().await.1.is_some());
    }
}
