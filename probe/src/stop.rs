//! A run that can be stopped while it waits.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Sleeps for `length`, or until `stop` is true. Where nobody is left who could stop it, it sleeps to the end.
pub(crate) async fn pause(stop: &mut watch::Receiver<bool>, length: Duration) {
    let stopped = async {
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    // Too late is as it should be.
    let _ = timeout(length, stopped).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    /// Longer than any machine needs; a test that waits for it has failed.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_pause_ends_when_the_run_is_stopped_and_none_begins_afterwards() {
        let (stop, mut stopped) = watch::channel(false);
        let pauses = tokio::spawn(async move {
            pause(&mut stopped, LONG).await;
            pause(&mut stopped, LONG).await;
        });
        // It waits by now, whatever the order.
        tokio::task::yield_now().await;
        stop.send(true).expect("somebody listens");
        timeout(PATIENCE, pauses).await.expect("it ends").expect("it does not panic");
    }

    #[tokio::test]
    async fn a_pause_is_whole_where_nobody_stops_it() {
        let (stop, mut stopped) = watch::channel(false);
        stop.send(false).expect("somebody listens");
        let moment = Duration::from_millis(5);
        timeout(moment, pause(&mut stopped, LONG)).await.expect_err("nobody has stopped it");
        drop(stop);
        timeout(moment, pause(&mut stopped, LONG)).await.expect_err("nobody can stop it");
        pause(&mut stopped, Duration::ZERO).await;
    }
}
