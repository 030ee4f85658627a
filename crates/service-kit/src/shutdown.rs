//! Shutdown: one token that everything watches, cancelled by SIGINT or SIGTERM.

pub use tokio_util::sync::CancellationToken;

/// A token that SIGINT or SIGTERM cancels. Only binaries call this.
///
/// # Errors
/// When a signal handler cannot be installed.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: draining before exit");
        cancelled.cancel();
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
