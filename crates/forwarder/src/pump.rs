//! Bytes between two connections, as they come: nothing is read of them.
//!
//! All connections read into one piece of memory. Only what the other side does not take at once is copied for
//! its connection, and no more is read before that is gone: so a slow side slows the other one down, and a
//! thousand idle connections need no memory.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Also the most that a direction of a connection keeps.
const CHUNK: usize = 16 * 1_024;

thread_local! {
    static CHUNK_BYTES: RefCell<[u8; CHUNK]> = const { RefCell::new([0; CHUNK]) };
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The reading side has said all, and the other one knows.
    Said,
    /// The reading side is gone.
    ReadFailed,
    /// The other side takes no more.
    WriteFailed,
}

/// One direction.
#[derive(Default)]
struct Half {
    /// What the other side has not taken yet.
    kept: Vec<u8>,
    taken: usize,
    all_read: bool,
    end: Option<End>,
    /// Why reading failed.
    error: Option<Error>,
}

/// Carries bytes both ways until Redis has ended, or until the app is gone. `first` is what Redis has said already.
/// Gives the error by which Redis' side ended, if it did so by one.
pub(crate) async fn pump<A, R>(app: &mut A, redis: &mut R, first: Vec<u8>) -> Option<Error>
where
    A: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Half::default();
    let mut down = Half { kept: first, ..Half::default() };
    std::future::poll_fn(|context| {
        up.poll(context, Pin::new(&mut *app), Pin::new(&mut *redis));
        down.poll(context, Pin::new(&mut *redis), Pin::new(&mut *app));
        match (up.end, down.end) {
            // Redis is gone, and the app has got everything it said.
            (_, Some(End::Said | End::ReadFailed))
            // The app is gone, and Redis has got everything it said.
            | (Some(End::ReadFailed), _)
            // The app takes no more answers; its last commands still count.
            | (Some(_), Some(End::WriteFailed)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
    down.error
}

impl Half {
    fn poll<F, T>(&mut self, context: &mut Context<'_>, mut from: Pin<&mut F>, mut to: Pin<&mut T>)
    where
        F: AsyncRead,
        T: AsyncWrite,
    {
        if self.end.is_none()
            && let Poll::Ready(end) = self.step(context, &mut from, &mut to)
        {
            self.end = Some(end);
            self.kept = Vec::new();
        }
    }

    fn step<F, T>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Pin<&mut F>,
        to: &mut Pin<&mut T>,
    ) -> Poll<End>
    where
        F: AsyncRead,
        T: AsyncWrite,
    {
        loop {
            while self.taken < self.kept.len() {
                match ready!(to.as_mut().poll_write(context, &self.kept[self.taken..])) {
                    Ok(0) | Err(_) => return Poll::Ready(End::WriteFailed),
                    Ok(written) => self.taken += written,
                }
            }
            if !self.kept.is_empty() {
                (self.kept, self.taken) = (Vec::new(), 0);
            }
            if self.all_read {
                let ended = ready!(to.as_mut().poll_shutdown(context));
                return Poll::Ready(if ended.is_ok() { End::Said } else { End::WriteFailed });
            }
            match CHUNK_BYTES.with_borrow_mut(|chunk| self.pass(context, from, to, chunk)) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => {
                    // A TLS session may hold what was written to it.
                    return match to.as_mut().poll_flush(context) {
                        Poll::Ready(Err(_)) => Poll::Ready(End::WriteFailed),
                        _ => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Reads once, and hands on as much as is taken at once.
    fn pass<F, T>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Pin<&mut F>,
        to: &mut Pin<&mut T>,
        chunk: &mut [u8],
    ) -> Poll<Result<(), End>>
    where
        F: AsyncRead,
        T: AsyncWrite,
    {
        let mut read = ReadBuf::new(chunk);
        match ready!(from.as_mut().poll_read(context, &mut read)) {
            // TLS without the farewell: Redis says none when it is killed, and its protocol has frames of its own.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.all_read = true,
            Err(error) => {
                self.error = Some(error);
                return Poll::Ready(Err(End::ReadFailed));
            }
            Ok(()) if read.filled().is_empty() => self.all_read = true,
            Ok(()) => {
                let bytes = read.filled();
                let taken = match to.as_mut().poll_write(context, bytes) {
                    Poll::Ready(Ok(taken)) => taken,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(End::WriteFailed)),
                    Poll::Pending => 0,
                };
                self.kept.extend_from_slice(&bytes[taken..]);
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// An app and a Redis, with a pump between them whose pipes hold so many bytes.
    fn pair(pipe: usize, first: &[u8]) -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<()>) {
        let (app, mut near) = duplex(pipe);
        let (redis, mut far) = duplex(pipe);
        let first = first.to_vec();
        let pumping = tokio::spawn(async move { drop(pump(&mut near, &mut far, first).await) });
        (app, redis, pumping)
    }

    #[tokio::test]
    async fn every_byte_arrives_in_order_through_narrow_pipes() {
        let (app, redis, pumping) = pair(7, b"first");
        let sent: Vec<u8> = (0..100_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let (mut app_reads, mut app_writes) = tokio::io::split(app);
        let (mut redis_reads, mut redis_writes) = tokio::io::split(redis);
        let (mut commands, mut answers) = (vec![], vec![]);
        let (up, down) = (sent.clone(), sent.clone());
        tokio::join!(
            async {
                app_writes.write_all(&up).await.unwrap();
                app_writes.shutdown().await.unwrap();
            },
            async {
                redis_writes.write_all(&down).await.unwrap();
                redis_reads.read_to_end(&mut commands).await.unwrap();
                // It has seen the end of the commands and may still answer.
                redis_writes.write_all(b"last").await.unwrap();
                redis_writes.shutdown().await.unwrap();
            },
            async { assert!(app_reads.read_to_end(&mut answers).await.is_ok()) },
        );
        pumping.await.unwrap();
        assert!(commands == sent, "{} bytes up", commands.len());
        assert!(answers == [b"first".as_slice(), &sent, b"last"].concat(), "{} bytes down", answers.len());
    }

    #[tokio::test]
    async fn a_side_that_takes_nothing_stops_the_reading_from_the_other() {
        let (mut app, redis, _pumping) = pair(1_000, b"");
        let mut sent = 0;
        let full = std::time::Duration::from_millis(200);
        while let Ok(Ok(written)) = tokio::time::timeout(full, app.write(&[0; 1_000])).await {
            sent += written;
            assert!(sent <= CHUNK + 3_000, "{sent} bytes taken, and nobody has read one");
        }
        drop(redis);
    }

    #[tokio::test]
    async fn it_ends_when_redis_has_gone_though_the_app_says_nothing() {
        let (mut app, redis, pumping) = pair(100, b"");
        drop(redis);
        pumping.await.unwrap();
        assert_eq!(app.read(&mut [0; 9]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_last_commands_of_an_app_that_is_gone_reach_redis() {
        let (mut app, mut redis, pumping) = pair(10, b"");
        let reading = tokio::spawn(async move {
            let mut commands = vec![];
            redis.read_to_end(&mut commands).await.unwrap();
            commands
        });
        app.write_all(&[7; 500]).await.unwrap();
        drop(app);
        assert_eq!(reading.await.unwrap(), [7; 500]);
        pumping.await.unwrap();
    }
}
