//! Shutdown: one token that everything watches, cancelled by SIGINT or SIGTERM.

use std::time::Duration;

pub use tokio_util::sync::CancellationToken;

/// A token that SIGINT or SIGTERM cancels; a second signal ends the process at once, and so does the passing of
/// `limit`, whatever hangs. Only binaries call this.
///
/// # Errors
/// When a signal handler cannot be installed.
pub fn on_signals(limit: Duration) -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
        // A thread of its own: what hangs may be the runtime.
        let watchdog = std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            std::thread::sleep(limit);
            std::process::exit(1);
        });
        if watchdog.is_err() {
            std::process::exit(1);
        }
        tracing::info!("stopping: draining before exit");
        // A second signal means now.
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::warn!("stopping at once: second signal");
        std::process::exit(130);
    });
    Ok(token)
}
