//! The wish to end the program, Ctrl-C (SIGINT) or SIGTERM, as a future.
//!
//! A closed terminal (SIGHUP) is left alone: its default already ends the
//! program, and nobody is there to read a last line.

use std::io;

/// Starts to listen for Ctrl-C and SIGTERM at once, so that one that comes
/// before the future is awaited is not lost.
///
/// # Errors
/// The system refuses to install a signal handler.
#[cfg(unix)]
pub fn requested() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Starts to listen for Ctrl-C at once.
///
/// # Errors
/// The system refuses to install a handler.
#[cfg(windows)]
pub fn requested() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
