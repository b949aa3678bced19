//! Ctrl-C and SIGTERM as a future, so that a program can finish its sentence before it ends.

use std::future::Future;
use std::io;

/// Resolves when the program is asked to stop: Ctrl-C, or SIGTERM where there is such a thing.
///
/// From the moment this returns, not from the first poll, those signals no longer end the process.
///
/// # Errors
/// The signals could not be registered.
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

/// Resolves when the program is asked to stop: Ctrl-C.
///
/// # Errors
/// None here: a failure to register is a future that never resolves.
#[cfg(not(unix))]
pub fn requested() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
