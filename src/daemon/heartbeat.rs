//! The timer that wakes the planner. It decides nothing: a beat that comes early, twice or late
//! only makes the planner look at the board.

use super::DaemonError;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler};

/// Every five seconds, in UTC: the planner, not this expression, knows about zones.
const BEAT: &str = "*/5 * * * * *";

/// A running timer.
pub struct Heartbeat {
    scheduler: JobScheduler,
    beats: mpsc::Receiver<()>,
}

impl Heartbeat {
    /// Starts the timer.
    ///
    /// # Errors
    /// The scheduler does not start.
    pub async fn start() -> Result<Self, DaemonError> {
        let (sender, beats) = mpsc::channel(1);
        let scheduler = JobScheduler::new().await?;
        let job = Job::new_async(BEAT, move |_, _| {
            let sender = sender.clone();
            Box::pin(async move {
                // A beat that is still waiting stands for this one too.
                let _ = sender.try_send(());
            })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler, beats })
    }

    /// Waits for a beat; comes back without one when the timer has fallen silent.
    pub async fn beat(&mut self) {
        let silent = tokio::time::sleep(std::time::Duration::from_secs(15));
        tokio::select! {
            beat = self.beats.recv() => {
                if beat.is_none() {
                    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
                }
            }
            () = silent => tracing::warn!("the timer is silent; planning goes on without it"),
        }
    }

    /// Stops the timer.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the timer did not stop");
        }
    }
}
