//! The last words on a connection of the app.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A client that sends nothing is not waited for longer.
const FIRST_COMMAND: Duration = Duration::from_secs(30);
/// How long the app may go on sending what nobody reads.
const FAREWELL: Duration = Duration::from_secs(2);

/// Answers the first command with this error, then ends. Not before: an answer to nothing confuses clients.
pub(crate) async fn answer(mut app: TcpStream, error: &str) {
    if matches!(timeout(FIRST_COMMAND, app.peek(&mut [0])).await, Ok(Ok(1..))) {
        let line = format!("{}\r\n", error.replace(char::is_control, " "));
        if app.write_all(line.as_bytes()).await.is_ok() {
            farewell(app).await;
        }
    }
}

/// Refuses a connection as Redis does when it has too many: at once, and waiting for nothing.
pub(crate) fn full(app: &TcpStream, most: u32) {
    let line = format!("-ERR max number of clients reached: nodeapp-forwarder takes {most} connections\r\n");
    let _ = app.try_write(line.as_bytes());
}

/// Ends a connection so that its last bytes arrive: closing it while unread bytes lie there would reset it, and the
/// app's kernel would throw away what the app has not read yet.
pub(crate) async fn farewell(mut app: TcpStream) {
    let ended = async {
        app.shutdown().await?;
        let mut rest = [0; 1_024];
        loop {
            app.readable().await?;
            match app.try_read(&mut rest) {
                Ok(0) => return Ok::<_, std::io::Error>(()),
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    };
    let _ = timeout(FAREWELL, ended).await;
}
